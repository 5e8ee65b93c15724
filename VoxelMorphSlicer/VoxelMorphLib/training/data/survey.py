"""A first look at all files of a training: which can be read, how large they are, which labels they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ...core.config import NetworkSpace
from ...core.errors import VoxelMorphError
from ...core.io.images import read_image_geometry, read_label_map
from .case import Case
from .labels import merged
from .space import extents

#: Files that are read at a time.
THREADS = 4


@dataclass
class Survey:
    """What was seen, by the names of the cases.

    Args:
        extents: voxels of the training space that an image fills.
        labels: values in the label maps, by file name; empty where they were not looked at.
        reasons: why a case cannot be used.
    """

    extents: dict[str, tuple[int, ...]] = field(default_factory=dict)
    labels: dict[str, frozenset[int]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def survey(
    cases: Sequence[Case], space: NetworkSpace, merges: Mapping[int, int], look_at_labels: bool, strict: bool
) -> Survey:
    """Look at each case once.

    Args:
        cases: to look at.
        space: of the training; its shape does not matter.
        merges: labels that are read as others.
        look_at_labels: read the label maps, which takes as long as their size says.
        strict: raise for the first case that cannot be used.

    Raises:
        VoxelMorphError: with `strict`.
    """
    result = Survey()

    def look(case: Case) -> tuple[tuple[int, ...], frozenset[int]] | VoxelMorphError:
        try:
            size = extents(read_image_geometry(case.image), space)
            if case.labels is None or not look_at_labels:
                return size, frozenset()
            return size, frozenset(merged(np.unique(read_label_map(case.labels).array), merges).tolist()) - {0}
        except VoxelMorphError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        for case, seen in zip(cases, pool.map(look, cases)):
            if isinstance(seen, VoxelMorphError):
                if strict:
                    raise seen
                result.reasons[case.name] = str(seen)
                continue
            result.extents[case.name] = seen[0]
            if case.labels is not None and look_at_labels:
                result.labels[str(case.labels)] = seen[1]
    return result
