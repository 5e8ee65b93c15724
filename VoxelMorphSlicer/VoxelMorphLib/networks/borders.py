"""VxmBorderDetector: where parts of one image border on each other, and which way, whatever the contrast."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .image_unet import ImageUnet

#: What the tensors are multiplied with, so that they pull as descriptors of the images themselves do.
WEIGHT = 4.0


class VxmBorderDetector(ImageUnet):
    """A U-net that finds the tensor of the borders around every voxel; see `synth.border_tensor`.

    It sees each image alone. A border has the same tensor whether the bright side is here or there and however bright
    it is, so that two images of any contrasts are compared by it, and it needs no anatomy that the network knows.

    Args:
        ndims: number of spatial axes.
        features: features of the levels on the way down, and of those on the way up from the coarsest one and then at
            full resolution.
        conv_per_level: convolutions of every level.
        in_channels: channels of each image.

    Raises:
        ConfigError: impossible values.

    Source: the direction of an edge without its sign, to compare modalities: Haber and Modersitzki, MICCAI 2006,
    doi:10.1007/11866763_89; networks for any contrast, trained on random shapes: Hoffmann et al., IEEE TMI 2022,
    doi:10.1109/TMI.2021.3116879.
    """

    def __init__(
        self,
        ndims: int = 3,
        features: Sequence[Sequence[int]] = ((16, 32, 48, 48), (48, 48, 32, 16, 16)),
        conv_per_level: int = 2,
        in_channels: int = 1,
    ) -> None:
        super().__init__(tensor_products(ndims), ndims, features, conv_per_level, in_channels)

    def features(self, image: Tensor) -> Tensor:
        """(B, N (N + 1) / 2, *shape): the tensors times `WEIGHT`; arguments and errors as `forward`."""
        return WEIGHT * self(image)


def tensor_products(ndims: int) -> int:
    """Different entries of a symmetric tensor of so many axes."""
    return ndims * (ndims + 1) // 2
