"""VxmDense: the VoxelMorph network, an image pair in, a smooth and invertible displacement out."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log2

from .registration_network import RegistrationNetwork
from .unet import Unet


class VxmDense(RegistrationNetwork):
    """Dense registration of two images by a U-net, with every option of the original.

    Args:
        ndims: number of spatial axes, 1 to 3.
        features, levels, multiplier, conv_per_level: of the U-net, see `Unet`.
        svf_resolution: voxel size of the velocity in input voxels; the U-net leaves out the upsamplings beyond it.
        options: the other arguments of `RegistrationNetwork`: int_steps, int_resolution, bidir, use_probs,
            moving_features, fixed_features, reg_field, fill_value.

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
        )
