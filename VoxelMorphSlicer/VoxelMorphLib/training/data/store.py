"""Where prepared cases are kept, so that a file is read and resampled once, and the means of such cases."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import torch
from torch import Tensor

from ...core.errors import OutputError, WeightsError
from ...core.io.files import replacing
from ...core.io.paths import exists, expanded, is_file
from ...weights.torch_file import read_torch_file
from ..options import FREE_ON_RESUME, TrainingConfig
from .case import Case
from .space import Prepared, TrainingSpace

#: Changes whenever the stored files would differ for the same case.
FORMAT = 1
#: Below the output folder.
FOLDER = ".prepared"
#: Computes from an image (C, *shape) and labels (1, *shape) what a recipe needs besides, by name.
Derive = Callable[[Tensor, Optional[Tensor]], "dict[str, Tensor]"]


class CaseStore:
    """Prepared cases by name, in memory, on the disk, or prepared again each time.

    Args:
        config: says where; with its options what a recipe derives may change.
        space: prepares what is not there yet.
        derive: what the recipe computes for each case.
    """

    def __init__(self, config: TrainingConfig, space: TrainingSpace, derive: Derive | None = None):
        self.space, self.derive = space, derive
        self.in_memory = config.cache == "memory"
        self.memory: dict[str, Prepared] = {}
        self.extras: dict[str, dict[str, Tensor]] = {}
        self.folder = expanded(config.output_dir) / FOLDER if config.cache == "disk" else None
        self._options = {name: value for name, value in config.to_dict().items() if name not in FREE_ON_RESUME}

    def images(self, case: Case) -> Prepared:
        """Image and labels in the training space, without extras.

        Raises:
            VoxelMorphError: a file cannot be read or used.
        """
        if case.name in self.memory:
            return self.memory[case.name]
        content = self._read(case)
        if content is None:
            prepared = self.space.prepare(case)
            self._write(case, {"image": prepared.image, "labels": prepared.labels})
        else:
            prepared = Prepared(**content)
        if self.in_memory:
            self.memory[case.name] = prepared
        return prepared

    def load(self, case: Case) -> Prepared:
        """Image, labels and extras.

        Raises:
            VoxelMorphError: a file cannot be read or used.
        """
        prepared = self.images(case)
        return prepared if self.derive is None else replace(prepared, extras=self._extras(case, prepared))

    def holds(self, case: Case) -> bool:
        """Whether image, labels and extras are in memory."""
        return case.name in self.memory and (self.derive is None or case.name in self.extras)

    def keep(self, case: Case, prepared: Prepared) -> None:
        """Keep in memory what another process has loaded.

        It is copied: tensors of workers are open files in shared memory, and systems limit the number and the size
        of these.
        """
        labels = None if prepared.labels is None else prepared.labels.clone()
        self.memory[case.name] = Prepared(prepared.image.clone(), labels)
        if self.derive is not None:
            self.extras[case.name] = {name: value.clone() for name, value in prepared.extras.items()}

    def _extras(self, case: Case, prepared: Prepared) -> dict[str, Tensor]:
        if case.name in self.extras:
            return self.extras[case.name]
        extras = self._read(case, self._options)
        if extras is None:
            extras = self.derive(prepared.image, prepared.labels)
            if extras:
                self._write(case, extras, self._options)
        if self.in_memory:
            self.extras[case.name] = extras
        return extras

    def _read(self, case: Case, options: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """What was kept on the disk; a damaged file counts as missing."""
        if self.folder is None:
            return None
        path = self._path(case, options)
        try:
            return read_torch_file(path, "") if is_file(path) else None
        except WeightsError:
            return None

    def _write(self, case: Case, content: dict[str, Any], options: dict[str, Any] | None = None) -> None:
        """Keep a case on the disk; a full disk costs time later, but does not end the training."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            size = sum(value.nbytes for value in content.values() if value is not None)
            with replacing(self._path(case, options), size) as scratch:
                torch.save(content, scratch)
        except (OSError, RuntimeError) as cause:  # torch turns a full disk into RuntimeError
            reason = cause if isinstance(cause, OutputError) else f"{self.folder} cannot be written ({cause})."
            warnings.warn(f"Prepared images are not kept on the disk any more: {reason}", stacklevel=2)
            self.folder = None

    def _path(self, case: Case, options: dict[str, Any] | None) -> Path:
        """Another name whenever files, space or, for extras, options of the recipe change."""
        files = [file.resolve() for file in (case.image, case.labels) if file is not None and exists(file)]
        parts = {
            "format": FORMAT,
            "files": [[str(file), file.stat().st_mtime_ns, file.stat().st_size] for file in files],
            "space": self.space.space.to_dict(),
            "labels": self.space.labels if case.labels else (),
            "merges": sorted(self.space.merges.items()),
            **({"keep_all": True} if self.space.keep_all else {}),
            "options": options,
        }
        return self.folder / f"{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]}.pt"


class Means:
    """Sums that grow case by case.

    Args:
        labels: values whose mean is taken, without the background.
    """

    def __init__(self, labels: Sequence[int]):
        self._values = (0, *labels) if labels else ()
        self._image: Tensor | None = None
        self._labels: Tensor | None = None
        self._count = self._labelled = 0

    def add(self, case: Prepared) -> None:
        """Count one case; all have one shape."""
        image = case.image.double()
        self._image = image if self._image is None else self._image + image
        self._count += 1
        if case.labels is not None and self._values:
            members = torch.cat([case.labels == value for value in self._values]).double()
            self._labels = members if self._labels is None else self._labels + members
            self._labelled += 1

    @property
    def image(self) -> Tensor | None:
        """(C, *shape), or None before the first case."""
        return None if self._image is None else (self._image / self._count).float()

    @property
    def labels(self) -> Tensor | None:
        """(1 + L, *shape), mean membership of the background and each label; None without label maps."""
        return None if self._labels is None else (self._labels / self._labelled).float()
