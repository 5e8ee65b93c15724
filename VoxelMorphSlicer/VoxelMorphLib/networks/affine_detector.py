"""VxmAffineFeatureDetector: two images become the matrix that aligns the centres of mass of learned features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.affine import affine_root, affine_to_displacement, invert_affine, square, without_last_row
from ..core.affine_parameters import affine_to_parameters, parameters_to_affine
from ..core.displacement import compose
from ..core.errors import ConfigError, GeometryError
from ..core.full_precision import as_double, in_float32
from ..core.options import check_range
from ..core.spatial import barycentre, warp
from .fields import FieldPair
from .padding import pad_to_multiple
from .unet import Unet

#: Weight of the pull towards the identity in a fit, squared voxels: has no effect unless the centres coincide.
RIDGE = 1e-8
#: A fit that changes volumes beyond these ratios, as features without content may give, is replaced by the identity.
_SMALLEST, _LARGEST = 1e-6, 1e6


@dataclass(frozen=True)
class AffineOutput:
    """The tensors of one pass; None where the network's options leave them out.

    Args:
        matrix: (B, N, N + 1), maps voxel coordinates of the output grid to those of the moving image, both counted from
            voxel 0; half of the transform if the network returns transforms to the mid-space.
        inverse_matrix: the same for the fixed image.
        displacement: (B, N, *out), voxels, that of `matrix`.
        inverse: (B, N, *out), that of `inverse_matrix`.
        moved: (B, C, *out), the moving image moved by `matrix`, zero outside.
        moved_fixed: (B, C, *out), the fixed image moved by `inverse_matrix`.
        features: (B, F, *own), feature maps of the moving image, not negative.
        features_fixed: (B, F, *own), of the fixed image.
    """

    matrix: Tensor
    inverse_matrix: Tensor | None
    displacement: Tensor | None
    inverse: Tensor | None
    moved: Tensor | None
    moved_fixed: Tensor | None
    features: Tensor | None
    features_fixed: Tensor | None


class VxmAffineFeatureDetector(nn.Module):
    """Symmetric affine or rigid registration by one detector, whose features in both images are pairs of points.

    Args:
        ndims: number of spatial axes, 2 or 3.
        num_chan: channels of each image.
        num_feat: feature maps whose centres of mass are aligned.
        enc_nf: features of the encoder's levels; each ends by halving the resolution.
        dec_nf: features of the decoder's levels; each ends by doubling the resolution and joining a skip connection.
        add_nf: features of the convolutions that follow.
        per_level: convolutions per level of `enc_nf` and `dec_nf`.
        dropout: share of the channels set to zero in training, after every convolution but the last.
        half_res: detect features at half the resolution of the images.
        weighted: weight every feature of the least-squares fit by its shares of the mass in both images.
        rigid: drop scales and shears.
        make_dense: return displacements too.
        bidir: return everything for the fixed image too.
        return_trans_to_mid_space: the transforms end halfway between the images.
        return_trans_to_half_res: the transforms start from a grid of half the resolution.
        return_moved, return_feat: return the moved images, the feature maps.

    Raises:
        ConfigError: impossible values.

    Source: Hoffmann et al., SPIE Medical Imaging 2023, arXiv:2301.11329; Hoffmann et al., Imaging Neuroscience 2024,
    doi:10.1162/imag_a_00197.
    """

    diffeomorphic = True

    def __init__(
        self,
        ndims: int = 3,
        num_chan: int = 1,
        num_feat: int = 64,
        enc_nf: Sequence[int] = (256, 256, 256, 256),
        dec_nf: Sequence[int] = (),
        add_nf: Sequence[int] = (256, 256, 256, 256),
        per_level: int = 1,
        dropout: float = 0.0,
        half_res: bool = True,
        weighted: bool = True,
        rigid: bool = False,
        make_dense: bool = True,
        bidir: bool = False,
        return_trans_to_mid_space: bool = False,
        return_trans_to_half_res: bool = False,
        return_moved: bool = False,
        return_feat: bool = False,
    ) -> None:
        options = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        self.options = options
        if ndims not in (2, 3) or len(dec_nf) > len(enc_nf):
            raise ConfigError(
                f"A feature detector works on 2 or 3 axes and goes up no further than down, got {ndims} axes, "
                f"{len(enc_nf)} levels down and {len(dec_nf)} up."
            )
        if return_trans_to_half_res and not half_res:
            raise ConfigError("return_trans_to_half_res needs half_res. Choose both, or leave it off.")
        check_range("dropout", dropout, 0, 0.99)
        self.unet = glorot_unet(ndims, num_chan, enc_nf, dec_nf, [*add_nf, num_feat], per_level, "relu")
        for block in self.unet.blocks[:-1]:
            block.dropout = dropout
        self.ndims, self.num_chan, self.half_res = ndims, num_chan, half_res
        self.weighted, self.rigid, self.make_dense, self.bidir = weighted, rigid, make_dense, bidir
        self.return_trans_to_mid_space = return_trans_to_mid_space
        self.return_trans_to_half_res = return_trans_to_half_res
        self.return_moved, self.return_feat = return_moved, return_feat

    @property
    def multiple(self) -> int:
        """Images whose extents are multiples of this need no padding."""
        return self.unet.multiple * (2 if self.half_res else 1)

    @property
    def peak_features(self) -> float:
        """Most values that are alive at once for each voxel of the images."""
        return self.unet.peak_features / (2**self.ndims if self.half_res else 1)

    def forward(self, moving: Tensor, fixed: Tensor) -> AffineOutput:
        """The matrices of image pairs (B, num_chan, *shape), and what the options ask for.

        Raises:
            GeometryError: the images do not fit each other or the network, or a matrix has no square root.
        """
        centred, padded, features = self._align(moving, fixed)
        sides = list(zip((moving, fixed), self._transforms(centred, padded, moving), features))
        first = self._outputs(*sides[0])
        second = self._outputs(*sides[1]) if self.bidir else [None] * len(first)
        return AffineOutput(*(tensor for both in zip(first, second) for tensor in both))

    def fields(self, moving: Tensor, fixed: Tensor, sample: bool = False) -> FieldPair:
        """The full transform between the images on their own grid, whatever the options are.

        Args:
            moving, fixed: (B, num_chan, *shape).
            sample: ignored; there is no variance to sample from.

        Raises:
            GeometryError: the images do not fit each other or the network.
        """
        centred, padded, _features = self._align(moving, fixed)
        shape, device = moving.shape[2:], moving.device  # Apple GPUs have no float64, so the fit runs on the CPU there
        both = [
            from_first_voxel(matrix, padded).to(device, torch.float32) for matrix in (centred, invert_affine(centred))
        ]
        displacement, inverse = (affine_to_displacement(matrix, shape, shift_center=False) for matrix in both)
        return FieldPair(None, displacement, inverse, both[0])

    def detect(self, image: Tensor) -> Tensor:
        """Feature maps (B, num_feat, *own), float32, of an image (B, num_chan, *shape) of fitting extents."""
        return self.unet(halved(image) if self.half_res else image).float()

    def _align(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Sequence[int], list[Tensor]]:
        """The matrix about the middle of the padded grid, that grid, and the feature maps."""
        check_images(moving, fixed, self.num_chan, self.ndims)
        images = [pad_to_multiple(image, self.multiple) for image in (moving, fixed)]
        features = [self.detect(image) for image in images]
        padded = images[0].shape[2:]
        return align_features(*features, padded, self.weighted, self.rigid), padded, features

    def _transforms(self, centred: Tensor, padded: Sequence[int], like: Tensor) -> list[Tensor]:
        """The matrices of the moving and the fixed image, from voxel 0, float32 on the device of `like`."""
        both = [centred, invert_affine(centred)]
        if self.return_trans_to_mid_space:
            both = [affine_root(matrix) for matrix in both]
        both = [from_first_voxel(matrix, padded) for matrix in both]
        if self.return_trans_to_half_res:
            both = [compose([matrix, scaling(2, matrix)], shift_center=False) for matrix in both]
        return [matrix.to(like.device, torch.float32) for matrix in both]

    def _outputs(self, image: Tensor, matrix: Tensor, features: Tensor) -> list[Tensor | None]:
        """The outputs of one image that the options ask for: matrix, displacement, moved image, features."""
        shape = [n // 2 for n in image.shape[2:]] if self.return_trans_to_half_res else image.shape[2:]
        displacement = moved = None
        if self.make_dense or self.return_moved:
            displacement = affine_to_displacement(matrix, shape, shift_center=False)
        if self.return_moved:
            moved = warp(image, displacement, padding="hard")
        return [matrix, displacement if self.make_dense else None, moved, features if self.return_feat else None]


def glorot_unet(
    ndims: int,
    channels: int,
    down: Sequence[int],
    up: Sequence[int],
    final: Sequence[int],
    per_level: int,
    final_activation: str | None = None,
) -> Unet:
    """The encoder-decoder of the SynthMorph networks, with Glorot's initialisation.

    Args:
        ndims: number of spatial axes.
        channels: of the input.
        down: features of the levels that end by halving the resolution.
        up: features of the levels that end by doubling it.
        final: features of the convolutions that follow.
        per_level: convolutions in each level of `down` and `up`.
        final_activation: of the last convolution, see `Unet`.
    """
    features = [[n for n in part for _ in range(per_level)] for part in (down, up)]
    unet = Unet(
        ndims,
        channels,
        (features[0], [*features[1], *final]),
        conv_per_level=per_level,
        upsample_skips=len(down) - len(up),
        final_activation=final_activation,
    )
    for block in unet.blocks:
        nn.init.xavier_uniform_(block.convolution.weight)
    return unet


def check_images(moving: Tensor, fixed: Tensor, channels: int, ndims: int) -> None:
    """Raise GeometryError unless both images are (B, channels, *shape) of one shape with `ndims` axes."""
    if moving.shape != fixed.shape or moving.ndim != ndims + 2 or moving.shape[1] != channels:
        raise GeometryError(
            f"The network needs a moving and a fixed image (B, {channels}, *shape) on one grid of {ndims} axes, got "
            f"{tuple(moving.shape)} and {tuple(fixed.shape)}. Resample them onto one grid."
        )


@in_float32
def align_features(
    moving: Tensor, fixed: Tensor, shape: Sequence[int], weighted: bool = True, rigid: bool = False
) -> Tensor:
    """The matrix that maps the centres of the fixed feature maps closest to those of the moving ones.

    It is the mean of the fit in one direction and the inverse of the fit in the other, so that exchanging the images
    nearly inverts it. Features that determine no matrix (all zero, or all in one place) result in the identity.

    Args:
        moving: (B, F, *own), not negative.
        fixed: (B, F, *own).
        shape: extents of the image grid that the feature maps cover.
        weighted: weight every feature by its share of all mass, in both images.
        rigid: drop scales and shears.

    Returns:
        (B, N, N + 1), float64: voxels of `shape` that count from the middle of the grid.

    Source: Hoffmann et al., SPIE Medical Imaging 2023, arXiv:2301.11329.
    """
    extents = as_double(torch.tensor(list(shape), device=moving.device))
    centres = [
        as_double(barycentre(x, normalize=True, shift_center=True)).to(extents) * extents for x in (moving, fixed)
    ]
    weights = torch.ones_like(centres[0][..., :1])
    if weighted:
        weights = _share(moving).to(extents) * _share(fixed).to(extents)
    matrix = _symmetric_fit(centres[0], centres[1], weights)
    if rigid:
        ndims = len(shape)
        parameters = affine_to_parameters(matrix)[..., : ndims * (ndims + 1) // 2]
        matrix = parameters_to_affine(parameters, ndims)
    return matrix


def _share(features: Tensor) -> Tensor:
    """(B, F, 1): the share of the mass that each feature has; 0 if there is no mass."""
    mass = as_double(features.flatten(2).sum(2, keepdim=True))
    total = mass.sum(1, keepdim=True)
    return mass / torch.where(total == 0, torch.ones_like(total), total)


def _symmetric_fit(moving: Tensor, fixed: Tensor, weights: Tensor) -> Tensor:
    forward, backward = _fit(moving, fixed, weights), _fit(fixed, moving, weights)
    plausible = _plausible(forward) & _plausible(backward)
    backward = _where(plausible, backward)
    matrix = (forward + without_last_row(torch.linalg.inv(square(backward)))) / 2
    return _where(plausible & _plausible(matrix), matrix)


def _fit(moving: Tensor, fixed: Tensor, weights: Tensor) -> Tensor:
    """(B, N, N + 1) of points (B, P, N) and weights (B, P, 1): least squares about the weighted centres."""
    total = weights.sum(1, keepdim=True)
    share = weights / torch.where(total == 0, torch.ones_like(total), total)
    centres = [(share * points).sum(1, keepdim=True) for points in (moving, fixed)]
    moving, fixed = moving - centres[0], fixed - centres[1]
    ridge = RIDGE * torch.eye(fixed.shape[2], dtype=fixed.dtype, device=fixed.device)
    covariance = moving.mT @ (share * fixed) + ridge
    linear = torch.linalg.solve(fixed.mT @ (share * fixed) + ridge, covariance, left=False)
    return torch.cat([linear, centres[0].mT - linear @ centres[1].mT], -1)


def _plausible(matrix: Tensor) -> Tensor:
    """(B, 1, 1), bool."""
    volume = torch.linalg.det(matrix[..., :-1].detach()).abs()
    usable = (volume > _SMALLEST) & (volume < _LARGEST) & matrix.detach().isfinite().all(-1).all(-1)
    return usable[:, None, None]


def _where(usable: Tensor, matrix: Tensor) -> Tensor:
    """`matrix`, or the identity."""
    identity = torch.eye(*matrix.shape[-2:], dtype=matrix.dtype, device=matrix.device)
    return torch.where(usable, matrix, identity.expand_as(matrix))


def halved(image: Tensor) -> Tensor:
    """Every second voxel of (B, C, *shape), as many as half the extent: voxel i is voxel 2 i of the image."""
    return image[(..., *(slice(0, n // 2 * 2, 2) for n in image.shape[2:]))]


def scaling(factor: float, like: Tensor) -> Tensor:
    """(1, N, N + 1): coordinates times `factor`; N, dtype and device of the matrix `like` (B, N, N + 1)."""
    matrix = torch.eye(like.shape[-1] - 1, like.shape[-1], dtype=like.dtype, device=like.device)
    return factor * matrix[None]


def from_first_voxel(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """(B, N, N + 1) on coordinates from voxel 0, of a matrix on coordinates from the middle of a grid of `shape`."""
    middle = torch.tensor([(n - 1) / 2 for n in shape], dtype=matrix.dtype, device=matrix.device)[:, None]
    linear = matrix[..., :-1]
    return torch.cat([linear, matrix[..., -1:] + middle - linear @ middle], -1)
