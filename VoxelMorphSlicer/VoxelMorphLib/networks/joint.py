"""HyperVxmJoint: affine and deformable registration in one, with a regularisation that is chosen when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import torch
from torch import Tensor, nn

from ..core.affine import affine_to_displacement
from ..core.displacement import compose, integrate_velocity
from ..core.errors import ConfigError
from ..core.spatial import warp
from .affine_detector import VxmAffineFeatureDetector, check_images, glorot_unet, halved, scaling
from .convolution import convolution
from .dense import LARGEST_STEPS
from .fields import FieldPair
from .hypernetwork import Hypernetwork, as_hyperparameters
from .padding import crop, pad_to_multiple

#: Weight of the regularisation with which the published network runs unless another is chosen.
DEFAULT_REGULARISATION = 0.5


@dataclass(frozen=True)
class JointOutput:
    """The tensors of one pass; None where the network's options leave them out.

    Displacements end on the input grid, or on that of half its resolution, whose voxel i is voxel 2 i of the input
    (then they are differences of the coordinates in the image and the index on the coarse grid).

    Args:
        displacement: (B, N, *out), voxels, affine and deformation; moves the moving image.
        inverse: the same for the fixed image. Without mid-space the deformation comes before the affine part here too,
            so that it is not quite the inverse of `displacement`; `fields` returns the true one.
        deformation, inverse_deformation: (B, N, *out), voxels, without the affine part.
        matrix, inverse_matrix: (B, N, N + 1), voxel coordinates from voxel 0; halfway with mid-space.
        svf, inverse_svf: (B, N, *half), velocity in voxels of its own grid.
        moved, moved_fixed: (B, C, *out), zero outside.
    """

    displacement: Tensor | None = None
    inverse: Tensor | None = None
    deformation: Tensor | None = None
    inverse_deformation: Tensor | None = None
    matrix: Tensor | None = None
    inverse_matrix: Tensor | None = None
    svf: Tensor | None = None
    inverse_svf: Tensor | None = None
    moved: Tensor | None = None
    moved_fixed: Tensor | None = None


class HyperVxmJoint(nn.Module):
    """Symmetric registration at half resolution: an affine detector, then a velocity.

    The weights of the network that predicts the velocity come from another one, which takes the hyperparameters.

    Args:
        ndims: number of spatial axes, 2 or 3.
        num_chan: channels of each image.
        hyp_num: number of hyperparameters; 0 for a network with weights of its own, as `specialise` returns.
        hyp_units: hidden layers of the hypernetwork.
        enc_nf, dec_nf: features of the encoder's and the decoder's levels, equally many.
        add_nf: features of the convolutions that follow.
        per_level: convolutions per level.
        int_steps: squarings of the integration; 0 takes the velocity as displacement.
        bidir: return everything for the fixed image too.
        skip_affine: deformation only; the images are affinely aligned already.
        mid_space: deform halfway between the images.
        return_trans_to_half_res: the transforms start from a grid of half the resolution.
        return_tot, return_def, return_aff, return_svf, return_moved: what `forward` returns.
        affine: options of the `VxmAffineFeatureDetector`; its outputs are chosen here.
        default: all hyperparameters where a call names none.

    The attribute `chosen` holds the hyperparameters of `fields`.

    Raises:
        ConfigError: impossible values.

    Source: Hoffmann et al., Imaging Neuroscience 2024, doi:10.1162/imag_a_00197.
    """

    def __init__(
        self,
        ndims: int = 3,
        num_chan: int = 1,
        hyp_num: int = 1,
        hyp_units: Sequence[int] = (32, 32, 32, 32),
        enc_nf: Sequence[int] = (256, 256, 256, 256),
        dec_nf: Sequence[int] = (256, 256, 256, 256),
        add_nf: Sequence[int] = (256, 256, 256, 256),
        per_level: int = 1,
        int_steps: int = 7,
        bidir: bool = False,
        skip_affine: bool = False,
        mid_space: bool = False,
        return_trans_to_half_res: bool = False,
        return_tot: bool = True,
        return_def: bool = False,
        return_aff: bool = False,
        return_svf: bool = False,
        return_moved: bool = False,
        affine: dict[str, Any] | None = None,
        default: float = DEFAULT_REGULARISATION,
    ) -> None:
        options = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        if len(enc_nf) != len(dec_nf) or int_steps not in range(LARGEST_STEPS + 1) or ndims not in (2, 3):
            raise ConfigError(
                f"A joint network has 2 or 3 axes, as many levels up as down and 0 to {LARGEST_STEPS} steps; got "
                f"{ndims} axes, {len(enc_nf)} levels down, {len(dec_nf)} up and int_steps {int_steps!r}."
            )
        deform = DeformationNetwork(ndims, num_chan, enc_nf, dec_nf, add_nf, per_level)
        self._levels, self._peak_features = deform.unet.multiple, deform.unet.peak_features
        self.deform = Hypernetwork(deform, hyp_num, hyp_units) if hyp_num else deform
        self.affine = None if skip_affine else _affine_network(ndims, num_chan, mid_space, affine or {})
        self.options = options
        self.ndims, self.num_chan, self.hyp_num = ndims, num_chan, hyp_num
        self.int_steps, self.bidir, self.mid_space = int_steps, bidir, mid_space and not skip_affine
        self.return_trans_to_half_res = return_trans_to_half_res
        self.return_tot, self.return_def, self.return_aff = return_tot, return_def, return_aff
        self.return_svf, self.return_moved = return_svf, return_moved
        self.chosen: float | Sequence[float] | Tensor = (default,) * hyp_num

    @property
    def multiple(self) -> int:
        """Images whose extents are multiples of this need no padding."""
        return 2 * (self._levels if self.affine is None else lcm(self._levels, self.affine.multiple))

    @property
    def peak_features(self) -> float:
        """Most values that are alive at once for each voxel of the images."""
        parts = [self._peak_features] + ([] if self.affine is None else [self.affine.peak_features])
        return max(parts) / 2**self.ndims

    @property
    def diffeomorphic(self) -> bool:
        """Whether a velocity is integrated, so that the inverse is known."""
        return self.int_steps > 0

    @property
    def hyperparameters(self) -> int:
        """How many there are to choose; 0 for a network with weights of its own."""
        return self.hyp_num

    def forward(
        self, moving: Tensor, fixed: Tensor, hyperparameters: float | Sequence[float] | Tensor | None = None
    ) -> JointOutput:
        """The transforms of image pairs, and what the options ask for.

        Args:
            moving, fixed: (B, num_chan, *shape).
            hyperparameters: one set or (B, hyp_num); None takes the attribute `chosen`.

        Raises:
            GeometryError: the images do not fit each other or the network, or a matrix has no square root.
            ConfigError: another number of hyperparameters.
        """
        padded, matrices, svf = self._register(moving, fixed, hyperparameters)
        first = self._outputs(moving, matrices[0], svf, padded)
        second = self._outputs(fixed, matrices[1], -svf, padded) if self.bidir else [None] * len(first)
        return JointOutput(*(tensor for both in zip(first, second) for tensor in both))

    def fields(
        self,
        moving: Tensor,
        fixed: Tensor,
        sample: bool = False,
        hyperparameters: float | Sequence[float] | Tensor | None = None,
    ) -> FieldPair:
        """The full transform between the images on their own grid.

        Args:
            moving, fixed: (B, num_chan, *shape).
            sample: ignored; there is no variance to sample from.
            hyperparameters: as of `forward`.

        Raises:
            GeometryError: the images do not fit each other or the network.
        """
        padded, (matrix, inverse_matrix), svf = self._register(moving, fixed, hyperparameters)
        shape = moving.shape[2:]
        half = scaling(0.5, matrix)
        after = [half, matrix] if self.mid_space else []
        displacement = self._composed([matrix, integrate_velocity(svf, self.int_steps), *after, half], padded)
        if not self.diffeomorphic:
            return FieldPair(None, crop(displacement, shape), None)
        # Without mid-space the affine part is applied last to a fixed point, so it is undone first.
        before = inverse_matrix if self.mid_space else scaling(2, matrix)
        backward = integrate_velocity(-svf, self.int_steps)
        inverse = self._composed([before, backward, half, inverse_matrix, half], padded)
        return FieldPair(None, crop(displacement, shape), crop(inverse, shape))

    def choose(self, hyperparameters: float | Sequence[float]) -> None:
        """Set the hyperparameters of the calls that name none.

        Raises:
            ConfigError: another number of hyperparameters than the network has.
        """
        as_hyperparameters(hyperparameters, self.hyp_num, next(self.parameters())[:1])
        self.chosen = hyperparameters

    def specialise(self, hyperparameters: float | Sequence[float]) -> HyperVxmJoint:
        """This network for one choice of hyperparameters, without hypernetwork: 33 times smaller as published.

        Raises:
            ConfigError: there is no hypernetwork, or it has another number of hyperparameters.
        """
        if not self.hyp_num:
            raise ConfigError("The network has no hyperparameters left to choose. Give one with a hypernetwork.")
        plain = HyperVxmJoint(**{**self.options, "hyp_num": 0})
        like = next(self.parameters()).detach()
        with torch.no_grad():
            weights = self.deform.weights(as_hyperparameters(hyperparameters, self.hyp_num, like[:1]))
        plain.deform.load_state_dict({name: tensor[0] for name, tensor in weights.items()})
        if self.affine is not None:
            plain.affine.load_state_dict(self.affine.state_dict())
        return plain.to(like.device).train(self.training)

    def _register(
        self, moving: Tensor, fixed: Tensor, hyperparameters: float | Sequence[float] | Tensor | None
    ) -> tuple[torch.Size, list[Tensor], Tensor]:
        """The padded grid, both matrices (half-resolution index -> full-resolution index), and the velocity."""
        check_images(moving, fixed, self.num_chan, self.ndims)
        images = [pad_to_multiple(image, self.multiple) for image in (moving, fixed)]
        halves = [halved(image) for image in images]
        matrices = self._matrices(halves)
        if self.affine is not None:
            shape = halves[0].shape[2:]
            for side in range(2 if self.mid_space else 1):
                displacement = affine_to_displacement(matrices[side], shape, shift_center=False)
                halves[side] = warp(images[side], displacement, padding="hard")
        values = as_hyperparameters(self.chosen if hyperparameters is None else hyperparameters, self.hyp_num, moving)
        svf = (self._velocity(halves, values) - self._velocity(halves[::-1], values)) / 2
        return images[0].shape[2:], matrices, svf

    def _matrices(self, halves: list[Tensor]) -> list[Tensor]:
        if self.affine is None:
            double = scaling(2, torch.eye(self.ndims, self.ndims + 1, device=halves[0].device)[None])
            return [double.expand(halves[0].shape[0], -1, -1)] * 2
        found = self.affine(*halves)
        both = [found.matrix, found.inverse_matrix]
        return [compose([scaling(2, matrix), matrix], shift_center=False) for matrix in both]

    def _velocity(self, halves: list[Tensor], values: Tensor) -> Tensor:
        pair = torch.cat(halves, dim=1)
        return self.deform(pair, values) if self.hyp_num else self.deform(pair)

    def _composed(self, transforms: list[Tensor], padded: Sequence[int]) -> Tensor:
        return compose(transforms, shift_center=False, shape=padded)

    def _outputs(self, image: Tensor, matrix: Tensor, velocity: Tensor, padded: Sequence[int]) -> list[Tensor | None]:
        """The outputs asked for of one image: displacement, deformation, matrix, velocity, moved image."""
        deformation = integrate_velocity(velocity, self.int_steps)
        after = [scaling(0.5, matrix), matrix] if self.mid_space else []
        whole = compose([matrix, deformation, *after], shift_center=False)
        shape: Sequence[int]
        if self.return_trans_to_half_res:
            shape = [n // 2 for n in image.shape[2:]]
        else:
            shape = image.shape[2:]
            half = scaling(0.5, matrix)
            to_half = affine_to_displacement(half, padded, shift_center=False)
            whole = compose([whole, to_half])
            deformation = compose([scaling(2, matrix), deformation, to_half], shift_center=False)
            matrix = compose([matrix, half], shift_center=False)
        whole = crop(whole, shape)
        return [
            whole if self.return_tot else None,
            crop(deformation, shape) if self.return_def else None,
            matrix if self.return_aff else None,
            velocity if self.return_svf else None,
            warp(image, whole, padding="hard") if self.return_moved else None,
        ]


def _affine_network(ndims: int, num_chan: int, mid_space: bool, options: dict[str, Any]) -> VxmAffineFeatureDetector:
    """The detector that runs on the images at half resolution."""
    chosen = {
        "ndims": ndims,
        "num_chan": num_chan,
        "half_res": False,
        "make_dense": False,
        "bidir": True,
        "return_trans_to_mid_space": mid_space,
        "return_trans_to_half_res": False,
        "return_moved": False,
        "return_feat": False,
    }
    foreign = sorted(set(options) & set(chosen))
    if foreign:
        raise ConfigError(f"The joint network itself chooses {', '.join(foreign)} of its affine part. Leave them out.")
    return VxmAffineFeatureDetector(**chosen, **options)


class DeformationNetwork(nn.Module):
    """Predicts a velocity from an image pair at half resolution, the channels of both images concatenated.

    Args:
        ndims, num_chan, enc_nf, dec_nf, add_nf, per_level: of `HyperVxmJoint`.
    """

    def __init__(
        self,
        ndims: int,
        num_chan: int,
        enc_nf: Sequence[int],
        dec_nf: Sequence[int],
        add_nf: Sequence[int],
        per_level: int,
    ) -> None:
        super().__init__()
        self.unet = glorot_unet(ndims, 2 * num_chan, enc_nf, dec_nf, add_nf, per_level)
        self.flow = convolution(ndims, self.unet.out_channels, ndims)
        nn.init.xavier_uniform_(self.flow.weight)

    def forward(self, pair: Tensor) -> Tensor:
        """(B, 2 num_chan, *shape) -> (B, N, *shape), float32."""
        return self.flow(self.unet(pair).to(self.flow.weight.dtype)).float().contiguous()
