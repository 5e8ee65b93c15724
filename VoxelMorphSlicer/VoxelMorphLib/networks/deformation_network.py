"""DeformationNetwork: two images at one resolution become the velocity between them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .affine_detector import glorot_unet
from .convolution import convolution


class DeformationNetwork(nn.Module):
    """The pair at half resolution, both channels of images together, to a velocity.

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
