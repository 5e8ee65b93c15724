"""Weight files (.pt) of the original's torch branch, read without executing them, turned into our VxmDense.

The branch samples with zero padding, in the integration too; this project continues the border there, as the
TensorFlow original does. Fields therefore differ near the edge of the grid, by about one voxel at most, and nowhere
else.
"""

from __future__ import annotations

import pickle
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import WeightsError
from .architectures import network_from_state

#: Constructor arguments of the branch's VxmDense and their defaults.
_DEFAULTS: dict[str, Any] = {
    "nb_unet_features": None,
    "nb_unet_levels": None,
    "unet_feat_mult": 1,
    "nb_unet_conv_per_level": 1,
    "int_steps": 7,
    "int_downsize": 2,
    "bidir": False,
    "use_probs": False,
    "src_feats": 1,
    "trg_feats": 1,
    "unet_half_res": False,
}
_REMEDY = "Choose a file that the original's torch branch wrote, or a .h5 or .safetensors file."
_NAMES = ((r"^unet_model\.remaining\.", "unet.final."), (r"^unet_model\.", "unet."), (r"\.main\.", ".convolution."))
#: A zip that unpacks to more than this many times its size is not a weight file.
_LARGEST_EXPANSION = 2
#: What torch takes for a zip archive begins so.
_ZIP = b"PK\x03\x04"


def network_from_torch(path: str | Path) -> nn.Module:
    """The network of a file that the branch's `VxmDense.save` wrote, float32 on the CPU.

    Raises:
        WeightsError: the file is damaged, holds other objects than weights, or another network.
    """
    path = Path(path)
    checkpoint = read_torch_file(path, _REMEDY)
    if not isinstance(checkpoint, dict) or set(checkpoint) != {"config", "model_state"}:
        raise WeightsError(f"{path} is no VoxelMorph file: config and model_state are not what it holds. {_REMEDY}")
    state = _state(path, checkpoint["model_state"])
    return network_from_state("VxmDense", _arguments(path, checkpoint["config"]), state, path)


def read_torch_file(path: Path, remedy: str) -> Any:
    """The tensors and plain values of a file that `torch.save` wrote, on the CPU; nothing in it is executed.

    Args:
        path: of an existing file.
        remedy: what to do when the file cannot be used, one sentence.

    Raises:
        WeightsError: the file is damaged or holds other objects.
    """
    try:
        _refuse_programs(path, remedy)
        content = torch.load(path, map_location="cpu", weights_only=True)
        _refuse_inflated(content, path, remedy)
        return content
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} was not opened: it is damaged, or holds Python objects other than weights, which could run "
            f"programs. {remedy}"
        ) from error
    except Exception as error:  # torch's reader raises almost any type on damaged files
        raise WeightsError(f"{path} is damaged or no torch file ({_first_line(error)}). Get a fresh copy.") from error


def _refuse_programs(path: Path, remedy: str) -> None:
    """Refuse containers that torch before 2.6 unpickles whatever `weights_only` says (CVE-2025-32434), and bombs."""
    if tarfile.is_tarfile(path):
        raise WeightsError(f"{path} was not opened: it is a tar archive, which could run programs. {remedy}")
    with path.open("rb") as stream:
        if stream.read(4) != _ZIP:
            return
    with zipfile.ZipFile(path) as archive:
        items = archive.infolist()
    if any(item.filename.endswith("constants.pkl") for item in items):
        raise WeightsError(f"{path} was not opened: it holds a TorchScript program instead of weights. {remedy}")
    unpacked = sum(item.file_size for item in items)
    if unpacked > _LARGEST_EXPANSION * path.stat().st_size:
        raise WeightsError(f"{path} would unpack to {unpacked / 1e6:.0f} MB, far more than its size. {remedy}")


def _refuse_inflated(content: Any, path: Path, remedy: str) -> None:
    """Refuse tensors without plain numbers, and such as claim more memory than the file has: strides of 0 do."""
    total, waiting = 0, [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            if item.layout != torch.strided or item.is_quantized or item.device.type != "cpu":
                raise WeightsError(f"{path} holds a sparse, quantised or empty tensor. {remedy}")
            total += item.numel() * item.element_size()
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
    if total > _LARGEST_EXPANSION * path.stat().st_size:
        raise WeightsError(f"{path} would unpack to {total / 1e6:.0f} MB, far more than its size. {remedy}")


def _arguments(path: Path, config: Any) -> dict[str, Any]:
    """Our constructor arguments for a configuration of the branch."""
    foreign = set(config) - set(_DEFAULTS) - {"inshape"} if isinstance(config, dict) else {type(config).__name__}
    if foreign or not isinstance(config.get("inshape"), (list, tuple)):
        names = ", ".join(sorted(map(str, foreign))) or "no inshape"
        raise WeightsError(f"{path} has a configuration that VxmDense does not know ({names}). {_REMEDY}")
    values = {**_DEFAULTS, **config}
    return {
        "ndims": len(values["inshape"]),
        "features": values["nb_unet_features"],
        "levels": values["nb_unet_levels"],
        "multiplier": values["unet_feat_mult"],
        "conv_per_level": values["nb_unet_conv_per_level"],
        "int_steps": values["int_steps"],
        "svf_resolution": 2 if values["unet_half_res"] else 1,
        "int_resolution": values["int_downsize"],
        "bidir": values["bidir"],
        "use_probs": values["use_probs"],
        "moving_features": values["src_feats"],
        "fixed_features": values["trg_feats"],
    }


def _state(path: Path, state: Any) -> dict[str, Tensor]:
    """Our tensor names; the sampling grids that older files hold are computed here and left out."""
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise WeightsError(f"{path} holds something else than named tensors as model_state. {_REMEDY}")
    renamed = {}
    for key, value in state.items():
        if not key.endswith(".grid"):
            for pattern, replacement in _NAMES:
                key = re.sub(pattern, replacement, key)
            renamed[key] = value
    return renamed


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
