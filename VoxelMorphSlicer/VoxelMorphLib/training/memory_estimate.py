"""The memory that one training step needs, estimated from tiny ones, and the memory that is free."""

from __future__ import annotations

import dataclasses
from math import prod

import torch
from torch import Tensor

from ..core import memory
from ..core.errors import DeviceError
from .data.case import Batch, DatasetInfo
from .options import TrainingConfig
from .recipes import make_task
from .task import Task
from .tasks.atlas_segmentation import count_atlas_labels

#: The weight, its gradient, and the two numbers that Adam keeps for each weight.
_BYTES_PER_PARAMETER = 4 * 4
#: Share of these tensors that gradients and scratch space add at the peak (0.11 to 0.20 measured, without workspaces).
_BACKWARD = 0.25
#: Share of the free memory that a step may take; other programs need some, and the estimate is not exact.
_USABLE = 0.9
_REMEDIES = "a smaller shape or a larger voxel_size, fewer features in encoder and decoder, or a smaller batch_size"


def step_memory(config: TrainingConfig, info: DatasetInfo) -> int:
    """Bytes that a step of the training takes on its device, the loaded images not counted.

    What the forward pass keeps for the backward pass is counted on two tiny shapes, which separates a constant part
    from one that is proportional to the voxels. Counted in float32; bfloat16 needs less.

    Args:
        config: of the training.
        info: about its data.
    """
    labels = count_atlas_labels(config.prob_atlas) if getattr(config, "prob_atlas", "") else 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        task = make_task(*without_start_files(config, _tiny(info, 1, 1), labels))
        multiple = getattr(task.network, "multiple", 1)
        small, large = (_tiny(info, multiple, times) for times in (1, 2))
        kept = [_kept_bytes(*without_start_files(config, tiny, labels)) for tiny in (small, large)]
    per_voxel = (kept[1] - kept[0]) / (prod(large.shape) - prod(small.shape))
    voxels = config.batch_size * prod(info.shape)
    activations = max(per_voxel, 0) * voxels + max(kept[0] - per_voxel * prod(small.shape), 0)
    parameters = sum(parameter.numel() for parameter in task.network.parameters())
    return int(activations * (1 + _BACKWARD)) + parameters * (_BYTES_PER_PARAMETER + 4 * bool(config.ema))


def check_fits(config: TrainingConfig, info: DatasetInfo, device: str) -> None:
    """Refuse a training whose steps need more memory than is free.

    Raises:
        DeviceError: they do.
    """
    needed, free = step_memory(config, info), free_memory(device)
    if free is not None and needed > _USABLE * free:
        raise DeviceError(
            f"A step on {config.batch_size} x {' x '.join(map(str, info.shape))} voxels needs about "
            f"{format_bytes(needed)} of memory and {device} has {format_bytes(free)} free. Choose {_REMEDIES}."
        )


def format_bytes(size: int) -> str:
    """A number of bytes in MiB, or in GiB from 1 GiB on."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def free_memory(device: str) -> int | None:
    """Bytes that are free on "cpu" or "cuda:N"; None where that is unknown."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    return memory.free_memory() if device == "cpu" else None


def without_start_files(
    config: TrainingConfig, info: DatasetInfo, atlas_labels: int
) -> tuple[TrainingConfig, DatasetInfo]:
    """The same configuration and dataset info with a flat atlas in place of `prob_atlas`, and no `init_weights`.

    What `init_stat` holds is read again only where the info does not keep it, as in old checkpoints.

    Args:
        config: of the training.
        info: about its data.
        atlas_labels: channels of the probabilistic atlas; ignored where the configuration names none.
    """
    files = {"prob_atlas", "init_weights"} | ({"init_stat"} if info.intensities else set())
    names = files & {field.name for field in dataclasses.fields(config)}
    if getattr(config, "prob_atlas", ""):
        flat = torch.full((atlas_labels, *info.shape), 1 / atlas_labels)
        info = dataclasses.replace(info, label_mean=flat, atlas_labels=None)
    return dataclasses.replace(config, **dict.fromkeys(names, "")), info


def _tiny(info: DatasetInfo, multiple: int, times: int) -> DatasetInfo:
    """The same dataset info for images of a few voxels, each extent at least 16."""
    extent = multiple * -(-16 // multiple) * times
    shape = (extent,) * len(info.shape)

    def resized(image: Tensor | None) -> Tensor | None:
        return None if image is None else torch.rand(len(image), *shape).to(image.dtype)

    images = {name: resized(getattr(info, name)) for name in ("mean", "label_mean", "atlas")}
    labels = None if info.atlas_labels is None else _labels(info, shape)
    return dataclasses.replace(info, shape=shape, **images, atlas_labels=labels)


def _labels(info: DatasetInfo, shape: tuple[int, ...]) -> Tensor | None:
    """(1, *shape), int16: all labels in layers along the first axis, within a margin of background."""
    if not info.labels:
        return None
    values = torch.tensor(info.labels, dtype=torch.int16)
    layers = torch.zeros(shape, dtype=torch.int16)
    inside = layers[(slice(2, -2),) * len(shape)]
    inside[:] = values[torch.arange(len(inside)) * len(values) // len(inside)].view(-1, *(1,) * (len(shape) - 1))
    return layers[None]


def _kept_bytes(config: TrainingConfig, info: DatasetInfo) -> int:
    """Bytes of what a forward pass of one made-up sample keeps for the backward pass, parameters left out."""
    task = make_task(config, info)
    batch = _made_up_batch(task, info)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = task.losses(task.network.train(), batch, torch.Generator().manual_seed(0))
    for parameter in task.network.parameters():
        kept.pop(parameter.untyped_storage().data_ptr(), None)
    del losses  # not before: memory that is freed is used again and would be counted once
    return sum(kept.values())


def _made_up_batch(task: Task, info: DatasetInfo) -> Batch:
    def image() -> Tensor:
        return torch.rand(info.channels, *info.shape)

    labels = _labels(info, info.shape)
    extras = {name: value[None] for name, value in task.derive(image(), labels).items()}
    pair = task.samples == "pair"
    return Batch(
        numbers=(0,),
        names=("",),
        fixed=image()[None],
        moving=image()[None] if pair else None,
        fixed_labels=None if labels is None else labels[None],
        moving_labels=labels[None] if pair and labels is not None else None,
        attributes=torch.zeros(1, info.attributes) if info.attributes else None,
        extras={f"{side}_{name}": value for side in ("fixed", "moving")[: 1 + pair] for name, value in extras.items()},
    )
