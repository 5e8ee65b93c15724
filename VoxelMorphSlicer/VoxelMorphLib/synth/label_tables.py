"""Tables of labels: dense numbering, merging, and which FreeSurfer labels are the left and right of one structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..core.affine import fit_affine
from ..core.errors import ConfigError, GeometryError

#: FreeSurfer's numbers of structures that lie on both sides: left -> right.
LEFT_TO_RIGHT = {
    2: 41, 3: 42, 4: 43, 5: 44, 7: 46, 8: 47, 10: 49, 11: 50, 12: 51, 13: 52, 17: 53, 18: 54, 25: 57, 26: 58, 28: 60,
    30: 62, 31: 63, 136: 163, 137: 164,
}  # fmt: skip
RIGHT_TO_LEFT = {right: left for left, right in LEFT_TO_RIGHT.items()}
#: FreeSurfer's numbers of parts -> the structure that they belong to: lesions, parts of the ventricles.
PARTS = {25: 2, 57: 41, 136: 4, 137: 5, 163: 43, 164: 44}
#: Structures of FreeSurfer's aseg that networks for brains learn to bring together.
ASEG_STRUCTURES = (
    2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 26, 28,
    41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60,
)  # fmt: skip
#: FreeSurfer's numbers -> large regions that an affine map can bring together: 1 and 2 the halves of the cerebrum, 3
#: and 4 those of the cerebellum, 5 the brain stem.
AFFINE_REGIONS = {
    **dict.fromkeys((2, 3, 4, 5, 10, 11, 12, 13, 17, 18, 25, 26, 28, 31, 136, 137), 1),
    **dict.fromkeys((41, 42, 43, 44, 49, 50, 51, 52, 53, 54, 57, 58, 60, 63, 163, 164), 2),
    7: 3, 8: 3, 46: 4, 47: 4, 16: 5,
}  # fmt: skip


def sides_merged(labels: Sequence[int]) -> dict[int, int]:
    """Each label -> the one on the left of the same structure, or itself."""
    return {label: RIGHT_TO_LEFT.get(label, label) for label in labels}


def check_labels(labels: Sequence[int], what: str) -> tuple[int, ...]:
    """The labels in ascending order, each once.

    Args:
        labels: whole numbers.
        what: what a sentence calls the list.

    Raises:
        ConfigError: none, negative ones, or numbers that are not whole.
    """
    listed = list(labels)
    wrong = [label for label in listed if isinstance(label, bool) or int(label) != label or label < 0]
    if not listed or wrong:
        shown = f"has {wrong[0]!r}" if wrong else "is empty"
        raise ConfigError(f"The list of {what} {shown}. Give whole numbers from 0 on, such as 0,2,3,41.")
    return tuple(sorted({int(label) for label in listed}))


def look_up(labels: Tensor, values: Sequence[int], found: Sequence[int] | Tensor, other: int = 0) -> Tensor:
    """Replace every label by the number at its place in `found`; the numbering may have holes.

    Args:
        labels: of any shape; whole numbers in any dtype.
        values: ascending, each once.
        found: number of each value, tensor on the CPU or list.
        other: of labels that `values` does not name.

    Returns:
        int64, of the shape of `labels`.
    """
    device = labels.device
    known = torch.tensor([*values], dtype=torch.int64, device=device)
    numbers = torch.as_tensor(found, dtype=torch.int64).to(device)
    if known[0] >= 0 and known[-1] < 2**16:  # a table is faster than a search
        table = torch.full((int(known[-1]) + 2,), other, dtype=torch.int64, device=device)
        table[known] = numbers
        return table[labels.long().clamp(-1, int(known[-1]) + 1).remainder(len(table))]
    whole = labels.long().contiguous()
    place = torch.searchsorted(known, whole).clamp(max=len(known) - 1)
    return torch.where(known[place] == whole, numbers[place], other)


def out_table(values: Sequence[int], out_labels: Sequence[int] | Mapping[int, int] | None) -> dict[int, int]:
    """Input label -> output label of those that are returned.

    Args:
        values: labels of the input.
        out_labels: a list of those to return, a mapping that may merge them, or None for all as they are.

    Raises:
        ConfigError: it is empty, or names a label that is not among the values.
    """
    if out_labels is None:
        return {value: value for value in values}
    table = dict(out_labels) if isinstance(out_labels, Mapping) else {label: label for label in out_labels}
    check_labels(list(table), "output labels")
    check_labels(list(table.values()), "output labels")
    unknown = sorted(set(table) - set(values))
    if unknown:
        raise ConfigError(
            f"The output labels name {unknown[0]}, which is not among the labels that images are made from "
            f"({_few(values)}). Leave it out, or add it to those."
        )
    return table


def labels_to_labels(fixed: Tensor, moving: Tensor, values: Sequence[int]) -> Tensor:
    """The affine map (1, N, N + 1), voxels, that takes the middles of the fixed labels nearest to the moving ones'.

    Args:
        fixed: (1, 1, *shape), a label map.
        moving: (1, 1, *shape).
        values: labels that count, each by the square root of its voxels in both maps.

    Returns:
        The identity where too few labels are in both maps.
    """
    (first, sizes), (second, others) = (_middles(labels, values) for labels in (fixed, moving))
    weights = (sizes * others) ** 0.25
    try:
        return fit_affine(second[None], first[None], weights[None]).float().to(fixed.device)
    except GeometryError:
        return torch.eye(fixed.ndim - 2, fixed.ndim - 1, device=fixed.device)[None]


def _middles(labels: Tensor, values: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(L, N) and (L,), float64 on the CPU: middle of each label, voxels, and how many voxels it has."""
    count = len(values)
    place = look_up(labels, values, range(1, count + 1))[0, 0].cpu()
    inside = place.nonzero()
    number = place[tuple(inside.T)]
    sizes = torch.bincount(number, minlength=count + 1).double()
    sums = [torch.bincount(number, column.double(), count + 1) for column in inside.T]
    return (torch.stack(sums, 1) / sizes.clamp(min=1)[:, None])[1:], sizes[1:]


def one_hot(labels: Tensor, values: Sequence[int]) -> Tensor:
    """(B, L, *shape), float32: membership of labels (B, 1, *shape) in every value."""
    channels = torch.tensor([*values], dtype=labels.dtype, device=labels.device)
    return (labels == channels.view(1, -1, *(1 for _ in labels.shape[2:]))).float()


def _few(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:8])) + ", ..." * (len(values) > 8)
