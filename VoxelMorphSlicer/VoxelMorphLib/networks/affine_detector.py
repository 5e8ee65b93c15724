"""VxmAffineFeatureDetector: an image pair in, the matrices that align it out, by the centres of learned features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.affine import affine_root, affine_to_displacement, invert_affine
from ..core.config import check_range
from ..core.displacement import compose
from ..core.errors import ConfigError, GeometryError
from ..core.spatial import warp
from .affine_head import align_features
from .fields import FieldPair
from .index_space import from_first_voxel, halved, scaling
from .padding import pad_to_multiple
from .unet import Unet


@dataclass(frozen=True)
class AffineOutput:
    """The tensors of one pass; what the network's options leave out is None.

    Args:
        matrix: (B, N, N + 1), voxel coordinates of the output grid -> those of the moving image, counted from voxel 0;
            goes half way where the network returns transforms to the mid-space.
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
    """Symmetric affine or rigid registration: one detector sees either image, its features are point pairs.

    Args:
        ndims: number of spatial axes, 2 or 3.
        num_chan: channels of either image.
        num_feat: feature maps whose centres of mass are aligned.
        enc_nf: features of the levels down; each ends with a halving of the resolution.
        dec_nf: features of the levels up; each ends with a doubling and a skip connection.
        add_nf: features of further convolutions.
        per_level: convolutions per level of `enc_nf` and `dec_nf`.
        dropout: share of the channels that are zero in training, after every convolution but the last.
        half_res: detect features at half the resolution of the images.
        weighted: weighted least squares; features weigh as much as they have mass in both images.
        rigid: drop scales and shears.
        make_dense: give displacements too.
        bidir: give everything for the fixed image too.
        return_trans_to_mid_space: the transforms end half way between the images.
        return_trans_to_half_res: the transforms start from a grid of half the resolution.
        return_moved, return_feat: give the moved images, the feature maps.

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
        super().__init__()
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
        """Extents of a multiple of this need no padding."""
        return self.unet.multiple * (2 if self.half_res else 1)

    def forward(self, moving: Tensor, fixed: Tensor) -> AffineOutput:
        """The matrices of image pairs (B, num_chan, *shape), and what the options ask for.

        Raises:
            GeometryError: the images do not fit each other or the network, or a matrix has no way half.
        """
        centred, padded, features = self._align(moving, fixed)
        sides = list(zip((moving, fixed), self._transforms(centred, padded, moving), features))
        first = self._outputs(*sides[0])
        second = self._outputs(*sides[1]) if self.bidir else [None] * len(first)
        return AffineOutput(*(tensor for both in zip(first, second) for tensor in both))

    def fields(self, moving: Tensor, fixed: Tensor, sample: bool = False) -> FieldPair:
        """The whole way between the images on their own grid, whatever the options say.

        Args:
            moving, fixed: (B, num_chan, *shape).
            sample: without meaning; there is no variance to sample from.

        Raises:
            GeometryError: the images do not fit each other or the network.
        """
        centred, padded, _features = self._align(moving, fixed)
        shape, device = moving.shape[2:], moving.device  # Apple GPUs have no float64, so the fit is on the CPU there
        both = [from_first_voxel(way, padded).to(device, torch.float32) for way in (centred, invert_affine(centred))]
        return FieldPair(
            None,
            *[affine_to_displacement(matrix, shape, shift_center=False) for matrix in both],
            matrix=both[0],
        )

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
        """What the options ask for of one image: matrix, displacement, moved image, features."""
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
        down: features of the levels that end with a halving of the resolution.
        up: features of the levels that end with a doubling.
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
