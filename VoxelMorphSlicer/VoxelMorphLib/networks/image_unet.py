"""ImageUnet: a U-net that looks at one image alone, with as many output channels as are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..core.errors import ConfigError, GeometryError
from .padding import crop, pad_to_multiple
from .unet import Unet


class ImageUnet(nn.Module):
    """A U-net of a number of convolutions at every level, for images of any extents.

    Args:
        outputs: channels of the output.
        ndims: number of spatial axes.
        features: features of the levels on the way down, and of those on the way up from the coarsest one and then at
            full resolution.
        conv_per_level: convolutions of every level.
        in_channels: channels of each image.

    Raises:
        ConfigError: another number of levels on the way up.
    """

    #: As of `FeatureDetector`.
    detailed_smoothness = 1.0

    def __init__(
        self, outputs: int, ndims: int, features: Sequence[Sequence[int]], conv_per_level: int, in_channels: int
    ) -> None:
        super().__init__()
        if len(features) != 2 or len(features[1]) <= len(features[0]):
            raise ConfigError(
                f"The features {features} are those of the levels on the way down, and one number more of those on the "
                "way up, the last one for the full resolution."
            )
        self.ndims, self.in_channels = ndims, in_channels
        #: Channels of what a pair is compared by; those of the output, unless a network makes others of them.
        self.feature_channels = outputs
        down, up = ([n for n in part for _ in range(conv_per_level)] for part in features)
        convolutions = [down, [*up, outputs]]
        self.unet = Unet(ndims, in_channels, convolutions, conv_per_level=conv_per_level, final_activation="linear")

    @property
    def multiple(self) -> int:
        """Images whose extents are multiples of this need no padding."""
        return self.unet.multiple

    @property
    def peak_features(self) -> float:
        """As of the U-net, with the features of both images."""
        return self.unet.peak_features + 2 * self.feature_channels

    def forward(self, image: Tensor) -> Tensor:
        """(B, outputs, *shape), float32.

        Args:
            image: (B, in_channels, *shape), about 0..1.

        Raises:
            GeometryError: the image does not fit the network.
        """
        return self.outputs(image).float()

    def outputs(self, image: Tensor) -> Tensor:
        """As `forward`, in the precision of the weights."""
        if image.ndim != self.ndims + 2 or image.shape[1] != self.in_channels:
            raise GeometryError(
                f"The network needs images (B, {self.in_channels}, *shape) of {self.ndims} axes, got "
                f"{tuple(image.shape)}. Choose images of as many axes and channels."
            )
        return crop(self.unet(pad_to_multiple(image, self.multiple)), image.shape[2:])
