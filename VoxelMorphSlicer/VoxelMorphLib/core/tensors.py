"""NumPy arrays <-> tensors, also where torch was built for another NumPy and neither from_numpy nor numpy works.

Slicer for the Mac is an Intel program: torch ends at 2.2 there, which does without NumPy 2 as if there were none.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: Types that both have in every version.
TYPES = {
    np.dtype(name): getattr(torch, name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
}
_ARRAY_TYPES = {tensor_type: array_type for array_type, tensor_type in TYPES.items()}
#: Whole numbers that old versions of torch lack, and what holds them.
_WIDER = {np.dtype("uint16"): np.int32, np.dtype("uint32"): np.int64}


def as_tensor(array: np.ndarray, dtype: torch.dtype | None = None) -> Tensor:
    """The values of an array as a tensor on the processor.

    Args:
        array: of any shape, layout and byte order; it shares its memory with the tensor where both lay it out alike
            and it may be written to.
        dtype: of the tensor; by default that of the array, for unsigned numbers of 16 and 32 bits the next signed one.

    Raises:
        TypeError: no numbers, or of a type that no tensor has.
    """
    wanted = _WIDER.get(array.dtype, array.dtype.newbyteorder("=")) if dtype is None else _ARRAY_TYPES[dtype]
    array = np.require(array, wanted, ["C", "W"])
    if array.dtype not in TYPES:
        raise TypeError(f"No tensor holds values of type {array.dtype}.")
    flat = torch.frombuffer(array, dtype=TYPES[array.dtype]) if array.size else torch.empty(0, dtype=TYPES[array.dtype])
    return flat.reshape(array.shape)


def as_array(tensor: Tensor) -> np.ndarray:
    """The values of a tensor of any device as an array of the same type; memory may be shared with it."""
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except RuntimeError:  # "Numpy is not available"
        array = np.empty(tuple(tensor.shape), _ARRAY_TYPES[tensor.dtype])
        if array.size:
            torch.frombuffer(array, dtype=tensor.dtype).reshape(array.shape).copy_(tensor)
        return array
