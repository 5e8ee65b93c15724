"""VxmAffine: the affine network of 2020, which predicts the entries of a matrix from strided convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.affine import add_identity, affine_to_displacement, invert_affine
from ..core.affine_parameters import parameters_to_affine
from ..core.displacement import compose
from ..core.errors import ConfigError, GeometryError
from ..core.filters import gaussian
from ..core.options import check_choice, check_range
from ..core.spatial import warp
from .affine_detector import AffineOutput, check_images, from_first_voxel
from .fields import FieldPair
from .legacy import StridedConvolution

TRANSFORM_TYPES = ("affine", "rigid", "rigid+scale")


class VxmAffine(nn.Module):
    """Affine registration in one or several passes, of blurred images first, each correcting the one before.

    Args:
        shape: extents of the images; the last layer has a weight for every voxel of its input.
        enc_nf: features of the strided convolutions.
        transform_type: "affine", "rigid", or "rigid+scale" with one scale for all axes.
        bidir: return the inverse and the moved fixed image too.
        blurs: one pass for each, 1 for sharp images; b smooths them by (b - 1)^2 voxels.
        rescale_affine: factor of the predicted numbers; a small one makes the training slow and stable.

    Rotations are predicted in radians, scales as the difference from 1.

    Raises:
        ConfigError: impossible values.

    Source: the class of this name in VoxelMorph's code of 2020, whose "rigid+scale" scaled the difference of the
    rotation from identity; here the scale is one.
    """

    diffeomorphic = True
    multiple = 1

    def __init__(
        self,
        shape: Sequence[int],
        enc_nf: Sequence[int] = (16, 32, 32, 32),
        transform_type: str = "affine",
        bidir: bool = False,
        blurs: Sequence[float] = (1,),
        rescale_affine: float = 1.0,
    ) -> None:
        super().__init__()
        check_choice("transform_type", transform_type, TRANSFORM_TYPES)
        check_range("rescale_affine", rescale_affine, 1e-9, 1e9)
        if len(shape) not in (2, 3) or not enc_nf or not blurs or min(blurs) < 1 or min(*enc_nf, *shape) < 1:
            raise ConfigError(
                f"VxmAffine needs 2 or 3 extents, features and blurs of at least 1, got shape {list(shape)}, enc_nf "
                f"{list(enc_nf)} and blurs {list(blurs)}."
            )
        ndims = len(shape)
        self.shape, self.transform_type, self.bidir = tuple(shape), transform_type, bidir
        self.blurs, self.rescale_affine = tuple(blurs), rescale_affine
        self.encoder = nn.Sequential(*(StridedConvolution(ndims, a, b) for a, b in zip([2, *enc_nf], enc_nf)))
        coarse = [-(-n // 2 ** len(enc_nf)) for n in shape]
        rigid = ndims * (ndims + 1) // 2
        counts = {"affine": ndims * (ndims + 1), "rigid": rigid, "rigid+scale": rigid + 1}
        self.dense = nn.Linear(enc_nf[-1] * torch.Size(coarse).numel(), counts[transform_type])
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, moving: Tensor, fixed: Tensor) -> AffineOutput:
        """The matrix of image pairs (B, 1, *shape), its displacement and the moved images.

        Raises:
            GeometryError: the images do not fit each other or the network.
        """
        matrix = self._centred(moving, fixed)
        displacement, inverse = self._displacements(matrix)
        return AffineOutput(
            matrix=from_first_voxel(matrix, self.shape),
            inverse_matrix=from_first_voxel(invert_affine(matrix), self.shape) if self.bidir else None,
            displacement=displacement,
            inverse=inverse if self.bidir else None,
            moved=warp(moving, displacement),
            moved_fixed=warp(fixed, inverse) if self.bidir else None,
            features=None,
            features_fixed=None,
        )

    def fields(self, moving: Tensor, fixed: Tensor, sample: bool = False) -> FieldPair:
        """The displacements and the matrix; `sample` is ignored. Errors as `forward`."""
        matrix = self._centred(moving, fixed)
        displacement, inverse = self._displacements(matrix)
        return FieldPair(None, displacement, inverse, from_first_voxel(matrix, self.shape))

    def _centred(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """(B, N, N + 1), voxels from the middle of the grid."""
        check_images(moving, fixed, 1, len(self.shape))
        if moving.shape[2:] != self.shape:
            raise GeometryError(
                f"This network was made for images of {self.shape} voxels, got {tuple(moving.shape[2:])}. Resample "
                "the images."
            )
        whole, moved = None, moving
        for blur in self.blurs:
            pair = torch.cat([gaussian(image, (blur - 1) ** 2) for image in (moved, fixed)], dim=1)
            step = self._matrix(self.dense(self.encoder(pair).flatten(1)) * self.rescale_affine)
            whole = step if whole is None else compose([whole, step])
            moved = warp(moving, affine_to_displacement(whole, self.shape))
        return whole

    def _matrix(self, parameters: Tensor) -> Tensor:
        ndims = len(self.shape)
        if self.transform_type == "affine":
            return add_identity(parameters)
        if self.transform_type == "rigid+scale":
            parameters = torch.cat([parameters[:, :-1], parameters[:, -1:].expand(-1, ndims)], dim=1)
        return parameters_to_affine(parameters, ndims, deg=False, shift_scale=True)

    def _displacements(self, matrix: Tensor) -> list[Tensor]:
        return [affine_to_displacement(m, self.shape) for m in (matrix, invert_affine(matrix))]
