"""VxmCvpr2018 and VxmMiccai2018: the networks of the first two papers, so that their published weights run."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import ConfigError
from .registration_network import RegistrationNetwork
from .strided_unet import StridedUnet

#: (encoder, decoder) features of the CVPR-2018 networks by their published names.
CVPR_FEATURES = {
    "vm1": ((16, 32, 32, 32), (32, 32, 32, 32, 8, 8)),
    "vm2": ((16, 32, 32, 32), (32, 32, 32, 32, 32, 16, 16)),
    "vm2double": ((32, 64, 64, 64), (64, 64, 64, 64, 64, 32, 32)),
}

#: Features of the MICCAI-2018 network.
MICCAI_FEATURES = ((16, 32, 32, 32), (32, 32, 32, 32, 16))


class VxmCvpr2018(RegistrationNetwork):
    """Predicts a displacement at full resolution; nothing is integrated, so it may fold and has no exact inverse.

    Args:
        ndims: number of spatial axes, 1 to 3.
        features: (encoder, decoder), or a name of CVPR_FEATURES.

    Raises:
        ConfigError: unknown name or impossible features.

    Source: Balakrishnan et al., CVPR 2018, arXiv:1802.02604.
    """

    def __init__(self, ndims: int = 3, features: str | Sequence[Sequence[int]] = "vm2") -> None:
        if isinstance(features, str):
            if features not in CVPR_FEATURES:
                raise ConfigError(
                    f"There is no network {features!r} of 2018; choose one of {', '.join(CVPR_FEATURES)}."
                )
            features = CVPR_FEATURES[features]
        encoder, decoder = features
        super().__init__(StridedUnet(ndims, 2, encoder, decoder), int_steps=0)


class VxmMiccai2018(RegistrationNetwork):
    """Predicts mean and variance of a velocity at half resolution; fields are resized as its code did in 2018.

    The published network drew its velocity also at test time; here it takes the mean unless a sample is asked for.

    Args:
        ndims: number of spatial axes, 1 to 3.
        features: (encoder, decoder); decoder features beyond the fifth have no meaning.
        int_steps: squarings of the integration.
        bidir: give the inverse and the moved fixed image too.

    Raises:
        ConfigError: impossible features.

    Source: Dalca et al., MICCAI 2018, doi:10.1007/978-3-030-00928-1_82.
    """

    def __init__(
        self,
        ndims: int = 3,
        features: Sequence[Sequence[int]] = MICCAI_FEATURES,
        int_steps: int = 7,
        bidir: bool = False,
    ) -> None:
        encoder, decoder = features
        super().__init__(
            StridedUnet(ndims, 2, encoder, decoder, full_size=False),
            int_steps=int_steps,
            svf_resolution=2,
            int_resolution=2,
            bidir=bidir,
            use_probs=True,
            alignment="legacy",
        )
