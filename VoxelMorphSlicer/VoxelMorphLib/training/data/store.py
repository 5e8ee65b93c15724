"""Where prepared cases are kept, so that a file is read and resampled once."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from ...core.errors import OutputError
from ...core.io.files import replacing
from ..config import FREE_ON_RESUME, TrainingConfig
from .case import Case
from .space import Prepared, TrainingSpace

#: Changes whenever the stored files would differ for the same case.
FORMAT = 1
#: Below the output folder.
FOLDER = ".prepared"

Derive = Callable[[torch.Tensor, "torch.Tensor | None"], "dict[str, torch.Tensor]"]


class CaseStore:
    """Prepared cases by name, in memory, on the disk, or made anew each time.

    Args:
        config: says where, and decides with the files what must not be mixed up.
        space: prepares what is not there yet.
        derive: what the recipe computes of each case.
    """

    def __init__(self, config: TrainingConfig, space: TrainingSpace, derive: Derive | None = None):
        self.config, self.space, self.derive = config, space, derive
        self.memory: dict[str, Prepared] = {}
        self.folder = Path(config.output_dir).expanduser() / FOLDER if config.cache == "disk" else None

    def load(self, case: Case) -> Prepared:
        """A case in the training space with its extras.

        Raises:
            VoxelMorphError: a file cannot be read or used.
        """
        if case.name in self.memory:
            return self.memory[case.name]
        prepared = self._from_disk(case) if self.folder else self._made(case)
        if self.config.cache == "memory":
            self.memory[case.name] = prepared
        return prepared

    def _made(self, case: Case) -> Prepared:
        prepared = self.space.prepare(case)
        if self.derive is None:
            return prepared
        return Prepared(prepared.image, prepared.labels, self.derive(prepared.image, prepared.labels))

    def _from_disk(self, case: Case) -> Prepared:
        path = self.folder / f"{self._key(case)}.pt"
        try:
            return Prepared(**torch.load(path, weights_only=True))
        except FileNotFoundError:
            pass
        except Exception:  # a damaged file is made anew, whatever torch says about it
            path.unlink(missing_ok=True)
        prepared = self._made(case)
        self._write(prepared, path)
        return prepared

    def _write(self, prepared: Prepared, path: Path) -> None:
        """Keep a case; a full disk costs time later, but does not end the training."""
        content = {"image": prepared.image, "labels": prepared.labels, "extras": prepared.extras}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, prepared.image.nbytes * 2) as scratch:
                torch.save(content, scratch)
        except (OutputError, OSError, RuntimeError) as cause:
            warnings.warn(f"Prepared images are no longer kept on the disk: {cause}", stacklevel=2)
            self.folder = None

    def _key(self, case: Case) -> str:
        """Changes with the files, the space and, where a recipe derives something, with its options."""
        files = [file for file in (case.image, case.labels) if file is not None]
        parts = {
            "format": FORMAT,
            "files": [
                [str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size] for file in files if file.exists()
            ],
            "space": self.space.space.to_dict(),
            "labels": list(self.space.labels) if case.labels else [],
            "merges": sorted(self.space.merges.items()),
        }
        if self.derive is not None:
            options = {name: value for name, value in self.config.to_dict().items() if name not in FREE_ON_RESUME}
            parts |= {"derive": getattr(self.derive, "__qualname__", ""), "options": options}
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]
