"""Dense registration: RegistrationNetwork turns features into fields, VxmDense computes the features with a U-net."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log2

import torch
from torch import Tensor, nn

from ..core.displacement import integrate_velocity
from ..core.errors import ConfigError, GeometryError
from ..core.full_precision import in_float32
from ..core.options import check_choice, check_range
from ..core.resize import resize_displacement
from ..core.spatial import warp
from .convolution import convolution, convolve
from .fields import FieldPair, RegistrationOutput
from .padding import crop, pad_to_multiple
from .unet import Unet

#: Which field the training penalises.
REG_FIELDS = ("svf", "preintegrated", "postintegrated", "warp")

#: More squarings leave no significant digit of the velocity in float32; coarser grids resolve nothing.
LARGEST_STEPS = 20
LARGEST_RESOLUTION = 64


class RegistrationNetwork(nn.Module):
    """Everything after the encoder-decoder in VoxelMorph's dense networks; subclasses supply the encoder-decoder.

    Images of any extent are padded to `multiple` and the fields cropped back, so that they are always on the input
    grid. Sampling, resizing, integration and warps are float32 whatever the precision of the encoder-decoder.

    Args:
        unet: encoder-decoder with `multiple`, `out_channels`, `dtype` and `ndims`.
        int_steps: squarings of the integration; 0 takes the predicted field as displacement.
        svf_resolution: voxel size of the velocity in input voxels.
        int_resolution: voxel size of the integration in input voxels; ignored if `int_steps` is 0.
        bidir: return the inverse and the moved fixed image too.
        use_probs: predict the variance of the velocity.
        moving_features, fixed_features: channels of the two images.
        reg_field: the field that the training penalises, one of REG_FIELDS.
        fill_value: value of moved voxels from outside the image, with a hard edge; None takes the nearest voxel's.
        alignment: of resizing, see `core.resize`.
        symmetric: predict the mean of the velocity and the negative one of the swapped images, so that swapping the
            images swaps displacement and inverse; the encoder-decoder works twice.

    Raises:
        ConfigError: impossible or contradicting values.

    Source: Dalca et al., Medical Image Analysis 2019, doi:10.1016/j.media.2019.07.006.
    """

    def __init__(
        self,
        unet: nn.Module,
        int_steps: int = 7,
        svf_resolution: float = 1,
        int_resolution: float = 2,
        bidir: bool = False,
        use_probs: bool = False,
        moving_features: int = 1,
        fixed_features: int = 1,
        reg_field: str = "preintegrated",
        fill_value: float | None = None,
        alignment: str = "corner",
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        check_choice("reg_field", reg_field, REG_FIELDS)
        if int_steps not in range(LARGEST_STEPS + 1):
            raise ConfigError(f"int_steps is {int_steps!r}; choose a whole number from 0 to {LARGEST_STEPS}.")
        check_range("svf_resolution", svf_resolution, 1, LARGEST_RESOLUTION)
        check_range("int_resolution", int_resolution, 1, LARGEST_RESOLUTION)
        if fill_value is not None:
            check_range("fill_value", fill_value, -1e9, 1e9)
        if symmetric and (use_probs or moving_features != fixed_features or not int_steps):
            raise ConfigError(
                "A symmetric network integrates a velocity, predicts no variance, and takes two images of as many "
                "channels. Turn symmetric or use_probs off, set int_steps, or give both images the same channels."
            )
        self.unet = unet
        self.flow = _flow_convolution(unet, std=1e-5)
        self.logvar = _flow_convolution(unet, std=1e-10, bias=-10.0) if use_probs else None
        self.int_steps, self.svf_resolution, self.int_resolution = int_steps, svf_resolution, int_resolution
        self.bidir, self.reg_field, self.fill_value, self.alignment = bidir, reg_field, fill_value, alignment
        self.moving_features, self.fixed_features = moving_features, fixed_features
        self.symmetric = symmetric

    @property
    def multiple(self) -> int:
        """Images whose extents are multiples of this need no padding."""
        return self.unet.multiple

    @property
    def peak_features(self) -> float | None:
        """As of the U-net; None where that does not tell."""
        return getattr(self.unet, "peak_features", None)

    @property
    def diffeomorphic(self) -> bool:
        """Whether a velocity is integrated, so that the inverse is known."""
        return self.int_steps > 0

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """The only shape of images that the network takes, as it keeps an image of its own; None takes any."""
        return None

    def forward(
        self, moving: Tensor, fixed: Tensor, sample: bool | None = None, generator: torch.Generator | None = None
    ) -> RegistrationOutput:
        """All tensors of one pass, for training and comparison.

        Args:
            moving: (B, moving_features, *shape).
            fixed: (B, fixed_features, *shape).
            sample: draw the velocity from its distribution instead of taking the mean; None does so in training mode,
                if a variance is predicted.
            generator: source of the random numbers.

        Raises:
            GeometryError: the images do not fit each other or the network.
            ConfigError: `sample` is asked of a network that predicts no variance.
        """
        sample = self.training and self.logvar is not None if sample is None else sample
        shape = moving.shape[2:]
        images = self._pair(moving, fixed)
        features = self.unet(images)
        flow, logvar, svf = self._predict(features, sample, generator)
        if self.symmetric:
            flow = svf = self._without_bias(flow, moving, fixed)
        padded = images.shape[2:]
        svf, velocity = self._resize_velocity(svf, padded)
        integrated = self._integrate(velocity)
        displacement = self._restore(integrated, padded, shape)
        inverse = self._restore(self._integrate(-velocity), padded, shape) if self.bidir else None
        fields = dict(zip(REG_FIELDS, (svf, velocity, integrated, displacement)))
        return RegistrationOutput(
            features=features,
            flow=flow,
            logvar=logvar,
            svf=svf,
            velocity=velocity,
            integrated=integrated,
            displacement=displacement,
            inverse=inverse,
            moved=self.move(moving, displacement),
            moved_fixed=None if inverse is None else self.move(fixed, inverse),
            regularised=fields[self.reg_field] if logvar is None else torch.cat([flow, logvar], dim=1),
        )

    def fields(
        self, moving: Tensor, fixed: Tensor, sample: bool = False, generator: torch.Generator | None = None
    ) -> FieldPair:
        """The fields alone, with as little memory as possible; nothing is moved. Arguments and errors as `forward`."""
        shape = moving.shape[2:]
        images = self._pair(moving, fixed)
        padded = images.shape[2:]
        flow = self._predict(self.unet(images), sample, generator)[2]
        del images
        if self.symmetric:
            flow = self._without_bias(flow, moving, fixed)
        _, velocity = self._resize_velocity(flow, padded)
        displacement = self._restore(self._integrate(velocity), padded, shape)
        if not self.diffeomorphic:
            return FieldPair(None, displacement, None)
        return FieldPair(velocity, displacement, self._restore(self._integrate(-velocity), padded, shape))

    def move(self, image: Tensor, displacement: Tensor) -> Tensor:
        """`image` (B, C, *shape) moved by (B, N, *shape) voxels, with the network's `fill_value`."""
        if self.fill_value is None:
            return warp(image, displacement)
        return warp(image, displacement, padding="hard", fill=self.fill_value)

    def _pair(self, moving: Tensor, fixed: Tensor) -> Tensor:
        if self.image_shape is not None:
            check_made_for(self.image_shape, moving, fixed)
        wanted = (self.moving_features, self.fixed_features)
        axes = {moving.ndim, fixed.ndim} == {self.unet.ndims + 2}
        if not axes or moving.shape[2:] != fixed.shape[2:] or (moving.shape[1], fixed.shape[1]) != wanted:
            raise GeometryError(
                f"The network needs a moving and a fixed image (B, C, *shape) of {wanted[0]} and {wanted[1]} channels "
                f"on one grid of {self.unet.ndims} axes, got {tuple(moving.shape)} and {tuple(fixed.shape)}. "
                "Resample them onto one grid."
            )
        pair = torch.cat([moving.movedim(1, -1), fixed.movedim(1, -1)], dim=-1).movedim(-1, 1)  # channels last
        return pad_to_multiple(pair, self.multiple)

    @in_float32
    def _predict(
        self, features: Tensor, sample: bool, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Mean, logvar and velocity at the resolution of the features, float32."""
        flow = _convolved(self.flow, features)
        logvar = None if self.logvar is None else _convolved(self.logvar, features)
        if not sample:
            return flow, logvar, flow
        if logvar is None:
            raise ConfigError("This network predicts no variance to sample from. Leave sampling off.")
        device = flow.device if generator is None else generator.device
        noise = torch.randn(flow.shape, generator=generator, device=device).to(flow.device)
        return flow, logvar, flow + (logvar / 2).exp() * noise

    def _without_bias(self, flow: Tensor, moving: Tensor, fixed: Tensor) -> Tensor:
        """The part of the velocity that changes its sign when the images are swapped."""
        return (flow - self._predict(self.unet(self._pair(fixed, moving)), False, None)[0]) / 2

    def _resize_velocity(self, flow: Tensor, padded: torch.Size) -> tuple[Tensor, Tensor]:
        """The field at the resolution of the velocity and at that of the integration."""
        svf = self._resized(flow, [max(1, round(n / self.svf_resolution)) for n in padded])
        if self.int_steps == 0 or self.int_resolution == 1:
            return svf, svf
        return svf, self._resized(svf, [max(1, round(n / self.int_resolution)) for n in padded])

    def _integrate(self, velocity: Tensor) -> Tensor:
        return integrate_velocity(velocity, self.int_steps)

    def _restore(self, displacement: Tensor, padded: torch.Size, shape: torch.Size) -> Tensor:
        """On the input grid, in its voxels."""
        return crop(self._resized(displacement, padded), shape)

    def _resized(self, field: Tensor, shape: torch.Size | list[int]) -> Tensor:
        if tuple(field.shape[2:]) == tuple(shape):
            return field
        return resize_displacement(field, shape, self.alignment)


def check_made_for(shape: Sequence[int], *images: Tensor) -> None:
    """Raise GeometryError for images (B, C, *other) of a network that was made for one shape alone."""
    for image in images:
        if tuple(image.shape[2:]) != tuple(shape):
            raise GeometryError(
                f"This network was made for images of {' x '.join(map(str, shape))} voxels, got "
                f"{' x '.join(map(str, image.shape[2:]))}. Crop, pad or resample them to that shape, or train the "
                "network anew for theirs."
            )


def _flow_convolution(unet: nn.Module, std: float, bias: float = 0.0) -> nn.Module:
    """A convolution from features to one component per axis, nearly constant at first."""
    module = convolution(unet.ndims, unet.out_channels, unet.ndims)
    nn.init.normal_(module.weight, std=std)
    nn.init.constant_(module.bias, bias)
    return module


def _convolved(module: nn.Module, features: Tensor) -> Tensor:
    """(B, N, *shape); sampling and resizing would be slow with the channels last."""
    return convolve(features, module.weight, module.bias).contiguous()


class VxmDense(RegistrationNetwork):
    """Dense registration of two images by a U-net, with every option of the original.

    Args:
        ndims: number of spatial axes, 1 to 3.
        features, levels, multiplier, conv_per_level: of the U-net, see `Unet`.
        svf_resolution: voxel size of the velocity in input voxels; the U-net leaves out the upsamplings beyond it.
        options: the other arguments of `RegistrationNetwork`: int_steps, int_resolution, bidir, use_probs,
            moving_features, fixed_features, reg_field, fill_value, symmetric.

    Raises:
        ConfigError: impossible or contradicting values.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538; Dalca et al., Medical Image Analysis
    2019, doi:10.1016/j.media.2019.07.006.
    """

    def __init__(
        self,
        ndims: int = 3,
        features: int | Sequence[Sequence[int]] | None = None,
        levels: int | None = None,
        multiplier: float = 1.0,
        conv_per_level: int = 1,
        int_steps: int = 7,
        svf_resolution: float = 1,
        int_resolution: float = 2,
        bidir: bool = False,
        use_probs: bool = False,
        moving_features: int = 1,
        fixed_features: int = 1,
        reg_field: str = "preintegrated",
        fill_value: float | None = None,
        symmetric: bool = False,
    ) -> None:
        unet = Unet(
            ndims,
            moving_features + fixed_features,
            features,
            levels,
            multiplier,
            conv_per_level,
            upsample_skips=floor(log2(max(svf_resolution, 1))),
        )
        super().__init__(
            unet,
            int_steps=int_steps,
            svf_resolution=svf_resolution,
            int_resolution=int_resolution,
            bidir=bidir,
            use_probs=use_probs,
            moving_features=moving_features,
            fixed_features=fixed_features,
            reg_field=reg_field,
            fill_value=fill_value,
            symmetric=symmetric,
        )
