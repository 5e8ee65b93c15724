"""ListedDirection: one image of many channels moved towards another at the voxels that show something, listed as rows.

Where all channels of a voxel lie beside each other in memory, to look one up costs little more than to look up one
value, and voxels of the surroundings cost nothing: all in all a tenth of what dense images take. In return the slope of
the energy is not exact, see `ListedDirection.pull`.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from ..core.rows import rows_between
from .feature_pyramid import ReducedPair
from .guides import Guides
from .similarity import Similarity
from .velocity_nodes import VelocityNodes, gather, spread

#: Of more voxels every other one is looked at, as on a chess board, and counts for two.
MOST = 100_000
#: Voxels that are processed at a time on the CPU, whose values stay in its cache.
CHUNK = 2**16


class ListedDirection:
    """One image moved towards the other by squared differences: its curvature, and what the velocity should change.

    Args:
        pair: both images at one resolution; of the one that is compared with, the voxels in its mask count.
        nodes: of the velocity.
        similarity: tells how many squarings a velocity needs at least.
        back: move the fixed image by the negative velocity instead.
        guides: as of a `Direction`; there can be none.
    """

    #: The same voxels are compared whatever the velocity.
    comparable = True
    guide_loss = 0.0
    #: As of a `Direction`: the slope is about right, so that the energy rises a little near its end. To stop there
    #: costs Dice 0.004 to 0.007 (OASIS-30 1036-1017); to go on where it rises by a twentieth follows noise.
    rise = 0.01

    def __init__(
        self, pair: ReducedPair, nodes: VelocityNodes, similarity: Similarity, back: bool, guides: Guides | None = None
    ):
        assert guides is None, "they pull by an exact slope"
        known, moving = (1, 0) if back else (0, 1)
        self.nodes, self.back, self.shape = nodes, back, pair.shape
        self.weights = nodes.weights(pair.places)
        self.moving, rows, mask = pair.rows[moving], pair.rows[known], pair.masks[known]
        device = rows.device
        self.scale = pair.scale
        self._sides = torch.tensor(pair.scale, device=device).view(1, 3, 1, 1, 1)
        #: Of forces, 0 at all voxels that are not listed.
        self._forces = rows.new_zeros(len(rows), 3)
        self.listed = torch.arange(len(rows), device=device) if mask is None else mask.flatten().nonzero()[:, 0]
        #: (3, listed), voxels, and for how many voxels one of the list stands.
        self.places, self.share = torch.stack(torch.unravel_index(self.listed, self.shape)), 1.0
        if len(self.listed) > MOST:
            chosen = self.places.sum(0) % 2 == 0
            self.share = len(self.listed) / int(chosen.sum())
            self.listed, self.places = self.listed[chosen], self.places[:, chosen]
        self.reference = rows.index_select(0, self.listed)
        #: (listed, 3, channels), of the reference: those of the moved image at the goal.
        self.slopes = self._slopes(rows)
        tensor = (self.slopes @ self.slopes.transpose(1, 2)).flatten(1)[:, [0, 1, 2, 4, 5, 8]]
        self.curvature = self._gathered(tensor, rows.new_zeros(len(rows), 6))

    def pull(self, velocity: Tensor) -> tuple[float, Tensor]:
        """Energy, and about its gradient (1, 3, *nodes) for the forward velocity.

        The moved image is taken to have the slopes of the reference, as at the goal, and a change of the velocity to
        move what arrives at a place, although it moves what is on the way there. What the latter leaves out of one
        direction is left out of the other with the opposite sign, about.

        Source: forces by the slopes of the unmoved image: Thirion, Medical Image Analysis 2(3):243-260 (1998),
        doi:10.1016/S1361-8415(98)80022-4; changes of a velocity at its end: Vercauteren et al., MICCAI 2008,
        doi:10.1007/978-3-540-85988-8_90.
        """
        field = self.nodes.exponential(-velocity if self.back else velocity)
        displacement = spread(field / self._sides, self.weights)[0].flatten(1)
        forces, energy = torch.empty_like(self.slopes[..., 0]), 0.0
        size = CHUNK if forces.device.type == "cpu" else max(len(forces), 1)
        for start in range(0, len(forces), size):
            part = slice(start, start + size)
            places = self.places[:, part] + displacement[:, self.listed[part]]
            difference = rows_between(self.moving, self.shape, places).sub_(self.reference[part])
            energy += 0.5 * float(difference.square().sum())
            forces[part] = torch.bmm(self.slopes[part], difference[..., None])[..., 0]
        gradient = self._gathered(forces, self._forces)
        return self.share * energy, -gradient if self.back else gradient

    def _slopes(self, rows: Tensor) -> Tensor:
        """(listed, 3, channels) in voxels of the velocity: central differences, at the faces one-sided ones."""
        slopes = rows.new_empty(len(self.listed), 3, rows.shape[1])
        distances = torch.empty_like(slopes[..., :1])
        for axis, (place, extent, side) in enumerate(zip(self.places, self.shape, self.scale)):
            stride = prod(self.shape[axis + 1 :])
            after, before = (place < extent - 1).long(), (place > 0).long()
            ends = (rows.index_select(0, self.listed + stride * side) for side in (after, -before))
            torch.sub(*ends, out=slopes[:, axis])
            distances[:, axis, 0] = (after + before).clamp_(min=1) * side
        return slopes.div_(distances)

    def _gathered(self, values: Tensor, dense: Tensor) -> Tensor:
        """(1, values, *nodes) of what belongs to the listed voxels (listed, values); the others are 0 in `dense`."""
        dense.index_copy_(0, self.listed, values)
        return gather(dense.T.reshape(1, -1, *self.shape), self.weights).mul_(self.share)
