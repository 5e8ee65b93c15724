"""Processor: one row from its files to its results; images are read and written while others are computed."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.config import RegistrationOptions
from ..core.devices import available_devices
from ..core.errors import AccessError, DependencyError, VoxelMorphError
from ..core.io.files import replacing
from ..core.memory import is_memory_full, is_memory_shortage
from .options import BatchOptions
from .places import output_names, record_name, thumbnail_name
from .record import Record, fingerprint, read_record
from .row import FILES, MEASURES, Outcome, Row

if TYPE_CHECKING:
    from ..core.image import LabelMap
    from ..registration.request import RegistrationRequest
    from ..registration.result import Registration

#: Environment variable with the number of this process among those of the computer.
PROCESS_NUMBER = "VXM_BATCH_PROCESS"


@dataclass(frozen=True)
class Settings:
    """What holds for all rows of a batch.

    Args:
        folder: absolute path of the output folder.
        options: what is written.
        weights_dir, allow_fallback: of every request.
    """

    folder: Path
    options: BatchOptions
    weights_dir: Path | None = None
    allow_fallback: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        weights = None if self.weights_dir is None else str(self.weights_dir)
        options = self.options.to_dict()
        return {
            "folder": str(self.folder),
            "options": options,
            "weights_dir": weights,
            "allow_fallback": self.allow_fallback,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """What `to_dict` gave."""
        weights = values["weights_dir"]
        return cls(
            Path(values["folder"]),
            BatchOptions.from_dict(values["options"]),
            None if weights is None else Path(weights),
            values["allow_fallback"],
        )


class Processor:
    """Does rows; several threads may ask for one each, of which one computes while others read and write.

    The networks are loaded once and kept.
    """

    def __init__(self) -> None:
        self._computing = ThreadPoolExecutor(1)
        self._cache: Any = None

    def process(self, row: Row, settings: Settings) -> Outcome:
        """Register a row, or find that it has been done; whatever is wrong with it becomes its sentence."""
        began = time.perf_counter()
        failed = Outcome(row.number, row.id, "failed", fixed=_name(row, "fixed"), moving=_name(row, "moving"))
        if row.problem:
            return replace(failed, sentence=row.problem)
        try:
            outcome = self._process(row, settings)
        except Exception as error:
            return replace(failed, sentence=sentence_of(error), seconds=time.perf_counter() - began)
        seconds = None if outcome.status == "unchanged" else time.perf_counter() - began
        return replace(outcome, fixed=failed.fixed, moving=failed.moving, seconds=seconds)

    def _process(self, row: Row, settings: Settings) -> Outcome:
        names = output_names(row.place, settings.options, "movingLabels" in row.files)
        state = fingerprint(row, names, settings.weights_dir, settings.allow_fallback)
        record_file = settings.folder / record_name(row.place)
        earlier = read_record(record_file)
        if earlier is not None and earlier.holds(state, set(names.values()), settings.folder):
            return _outcome(row, "unchanged", earlier, names)
        pair = _read(row, settings)
        result = self._computing.submit(self._register, pair.request).result()
        record_file.parent.mkdir(parents=True, exist_ok=True)
        record_file.unlink(missing_ok=True)  # what it says of the files is no longer true
        _write(names, settings, pair, result)
        thumbnail = _thumbnail(settings, row, pair.request, result) if settings.options.thumbnails else []
        sizes = {name: (settings.folder / name).stat().st_size for name in [*names.values(), *thumbnail]}
        report = result.report
        told = tuple(text for text in report.warnings if text != report.worse)
        measures = _measures(pair, result)
        record = Record(state, sizes, measures, report.worse, told, report.model)
        record.write(record_file)
        return replace(_outcome(row, "done", record, names), device=report.device)

    def _register(self, request: RegistrationRequest) -> Registration:
        from ..registration.cache import RegistrationCache
        from ..registration.memo import Memo
        from ..registration.register import register

        if self._cache is None:  # no pair comes twice, so that only networks are worth keeping
            self._cache = RegistrationCache(starts=Memo(0), alignments=Memo(0))
        return register(_on_own_card(request), cache=self._cache)


def _on_own_card(request: RegistrationRequest) -> RegistrationRequest:
    """With one of several graphics cards where the choice is free, so that the processes of a computer share them."""
    number = os.environ.get(PROCESS_NUMBER, "")
    if request.options.device != "auto" or not number.isdigit():
        return request
    cards = sorted(device.name for device in available_devices() if device.name.startswith("cuda"))
    if len(cards) < 2:
        return request
    return replace(request, options=replace(request.options, device=cards[int(number) % len(cards)]))


_LOCK = threading.Lock()
_PROCESSOR: list[Processor] = []


def process(row: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Do a row in this process; plain values in and out, for processes that are told so.

    Args:
        row: of a `Row`.
        settings: of `Settings`.
    """
    with _LOCK:
        if not _PROCESSOR:
            _PROCESSOR.append(Processor())
    return _PROCESSOR[0].process(Row(**row), Settings.from_dict(settings)).to_dict()


def sentence_of(error: Exception) -> str:
    """What a table says of an error."""
    if isinstance(error, VoxelMorphError):
        return " ".join(str(error).split())
    if is_memory_shortage(error) or is_memory_full():
        return "The memory of this computer did not suffice. Use fewer processes, or crop or downsample the volumes."
    if isinstance(error, OSError) and error.filename:
        return str(AccessError(f"{error.filename} cannot be used ({error.strerror}). Check its name and permissions."))
    traceback.print_exc()
    return f"This is a fault of VoxelMorph ({type(error).__name__}: {error}). Please report it."


@dataclass(frozen=True, eq=False)
class _Pair:
    """A row that was read.

    Args:
        request: what is registered.
        fixed_labels, moving_labels: label maps, which the request has only where they pull.
    """

    request: RegistrationRequest
    fixed_labels: LabelMap | None
    moving_labels: LabelMap | None

    @property
    def labels(self) -> tuple[LabelMap, LabelMap] | None:
        """Of both images; None where one has none."""
        fixed, moving = self.fixed_labels, self.moving_labels
        return None if fixed is None or moving is None else (fixed, moving)


def _read(row: Row, settings: Settings) -> _Pair:
    from ..core.io.images import check_voxel_type, read_label_map
    from ..registration.masks import check_labels_meet
    from ..registration.predictor import known_entry, optimises
    from ..registration.request import RegistrationRequest

    fields: dict[str, Any] = {FILES[column]: Path(path) for column, path in row.files.items()}
    names = ("fixed_labels", "moving_labels")
    labels = {name: read_label_map(fields.pop(name)) if name in fields else None for name in names}
    options = RegistrationOptions.from_dict(row.options)
    entry = known_entry(row.model or None)
    if all(labels.values()) and entry is not None and optimises(entry, options.refine):
        fields.update(labels)  # a network alone refuses them; there they only measure
    request = RegistrationRequest.read(
        **fields,
        model=row.model or None,
        options=options,
        weights_dir=settings.weights_dir,
        allow_fallback=settings.allow_fallback,
    )
    for role, image in (("fixed", request.fixed), ("moving", request.moving)):
        map_of_role = labels[f"{role}_labels"]
        if map_of_role is not None:
            check_labels_meet(map_of_role, image, role)
    check_voxel_type(f"moved{settings.options.image_format}", request.moving.array.dtype)
    return _Pair(request, labels["fixed_labels"], labels["moving_labels"])


def _write(names: dict[str, str], settings: Settings, pair: _Pair, result: Registration) -> None:
    """Write all results or none."""
    from ..core.io.images import write_image
    from ..core.io.transforms import write_transform

    labels = pair.moving_labels
    grids = pair.request.fixed.geometry, pair.request.moving.geometry
    writers: dict[str, Callable[[Path], object]] = {
        "moved": lambda path: write_image(result.moved, path),
        "moved_labels": lambda path: write_image(result.forward.resample(labels, grids[0]), path),
        "forward": lambda path: write_transform(result.forward, path, *grids),
        "inverse": lambda path: write_transform(result.inverse, path, *reversed(grids)),
        "report": lambda path: _write_report(path, pair, result),
    }
    with ExitStack() as stack:
        for kind, name in names.items():
            writers[kind](stack.enter_context(replacing(settings.folder / name)))


def _write_report(path: Path, pair: _Pair, result: Registration) -> None:
    """Without times, so that it is the same whenever it was made."""
    from ..report.page import write_report

    timeless = replace(result, report=replace(result.report, seconds={}))
    write_report(path, pair.request.fixed, pair.request.moving, timeless, pair.labels)


def _thumbnail(settings: Settings, row: Row, request: RegistrationRequest, result: Registration) -> list[str]:
    """The name of the small picture; nothing where the package that draws it is not installed."""
    from ..report.figures import thumbnail
    from ..report.views import make_views

    name = thumbnail_name(row.place)
    try:
        png = thumbnail(make_views(request.fixed, None, result.moved))
    except DependencyError:
        return []
    with replacing(settings.folder / name) as scratch:
        scratch.write_bytes(png)
    return [name]


def _measures(pair: _Pair, result: Registration) -> dict[str, float]:
    report = result.report
    values = {name: float(getattr(report, name)) for name in MEASURES if hasattr(report, name)}
    if not report.landmarks:
        values = {name: value for name, value in values.items() if not name.startswith("landmark")}
    if pair.labels is not None:
        values.update(_dice(*pair.labels, result))
    return {name: round(values[name], 6) for name in MEASURES if name in values}


def _dice(fixed: LabelMap, moving: LabelMap, result: Registration) -> dict[str, float]:
    """Mean over the labels of the fixed map, before and after."""
    from ..core.transform import IDENTITY
    from ..report.measures import dice_by_label

    means = {}
    for when, transform in (("before", IDENTITY), ("after", result.forward)):
        found = dice_by_label(fixed, transform.resample(moving, fixed.geometry))
        if found:
            means[f"dice_{when}"] = sum(found.values()) / len(found)
    return means


def _outcome(row: Row, status: str, record: Record, names: dict[str, str]) -> Outcome:
    picture = thumbnail_name(row.place)
    return Outcome(
        row.number,
        row.id,
        status,
        record.sentence,
        record.measures,
        record.warnings,
        record.model,
        thumbnail=picture if picture in record.outputs else "",
        report=names.get("report", ""),
    )


def _name(row: Row, column: str) -> str:
    return Path(row.files[column]).name if column in row.files else ""
