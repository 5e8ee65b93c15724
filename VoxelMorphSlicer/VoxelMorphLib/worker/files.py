"""Requests and their results as files of one folder: plain values in JSON, every array once in a .npy file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import RegistrationOptions
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from ..registration.request import RegistrationRequest
from ..registration.result import Registration, RegistrationReport
from ..registration.template_request import Request, TemplateRequest

REQUEST_NAME, RESULT_NAME = "request.json", "registration.json"
#: Bytes per voxel of the two displacement fields of a result, three float32 each.
FIELDS_BYTES = 24

#: What can be asked for.
_REQUESTS: dict[str, type[Request]] = {kind.__name__: kind for kind in (RegistrationRequest, TemplateRequest)}
_KINDS = {"Image": Image, "LabelMap": LabelMap}


def write_request(request: Request, folder: Path) -> None:
    """Write a request into an existing empty folder; model files and folders become absolute paths.

    Raises:
        OSError: the disk is full or fails.
    """
    arrays = _Writer(folder)
    values = {name: arrays.value(value) for name, value in vars(request.portable()).items()}
    _write_json({"request": type(request).__name__, "values": values}, folder / REQUEST_NAME)


def read_request(folder: Path) -> Request:
    """Read what `write_request` wrote."""
    arrays, content = _Reader(folder), _read_json(folder / REQUEST_NAME)
    return _REQUESTS[content["request"]](**{k: arrays.value(v) for k, v in content["values"].items()})


def write_result(result: Registration | Image, folder: Path) -> None:
    """Write a result into an existing folder, beside the request that it belongs to.

    Raises:
        OSError: the disk is full or fails.
    """
    arrays = _Writer(folder, "result-")
    if isinstance(result, Image):
        _write_json({"template": arrays.image(result)}, folder / RESULT_NAME)
        return
    values = {
        "moved": arrays.image(result.moved),
        "forward": arrays.transform(result.forward),
        "inverse": arrays.transform(result.inverse),
        "report": result.report.to_dict(),
    }
    _write_json(values, folder / RESULT_NAME)


def read_result(folder: Path) -> Registration | Image:
    """Read what `write_result` wrote; the arrays are in memory and the folder is not needed any more.

    The arrays are laid out as VTK wants them, I fastest: doing so here, in the thread that reads, saves the
    application from standing still when it turns them into nodes.
    """
    values, arrays = _read_json(folder / RESULT_NAME), _Reader(folder, i_fastest=True)
    if "template" in values:
        return arrays.image(values["template"])
    return Registration(
        moved=arrays.image(values["moved"]),
        forward=arrays.transform(values["forward"]),
        inverse=arrays.transform(values["inverse"]),
        report=RegistrationReport.from_dict(values["report"]),
    )


def bytes_needed(request: Request) -> int:
    """About what a request and its result take on the disk; a template is not larger than its base."""
    images = [value for value in vars(request).values() if isinstance(value, Image)]
    result = 0
    if isinstance(request, RegistrationRequest):
        result = request.fixed.array.size * (request.moving.array.itemsize + FIELDS_BYTES)
    return sum(image.array.nbytes for image in images) + result


def _write_json(values: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(values), encoding="ascii")


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="ascii"))


class _Writer:
    """Describes objects by plain values and writes their arrays, each once however often it occurs."""

    def __init__(self, folder: Path, prefix: str = ""):
        self.folder, self.prefix = folder, prefix
        self.names: dict[int, str] = {}

    def value(self, value: Any) -> Any:
        """Any field of a request; what is plain stays as it is."""
        if isinstance(value, Image):
            return self.image(value)
        if isinstance(value, Transform):
            return self.transform(value)
        if isinstance(value, RegistrationOptions):
            return {"kind": "options", "values": value.to_dict()}
        if isinstance(value, np.ndarray):
            return {"kind": "array", "array": self.array(value)}
        if isinstance(value, Mapping):
            return {"kind": "numbers", "values": dict(value)}
        return {"kind": "path", "path": str(value)} if isinstance(value, Path) else value

    def image(self, image: Image | None) -> dict[str, Any] | None:
        if image is None:
            return None
        kind = "LabelMap" if isinstance(image, LabelMap) else "Image"
        return {
            "kind": kind,
            "array": self.array(image.array),
            "name": image.name,
            "notes": image.notes,
            **_grid(image.geometry),
        }

    def transform(self, transform: Transform | None) -> dict[str, Any] | None:
        if transform is None:
            return None
        if isinstance(transform, AffineTransform):
            return {"kind": "affine", "matrix": transform.matrix.tolist()}
        if isinstance(transform, CompositeTransform):
            return {"kind": "composite", "parts": [self.transform(part) for part in transform.transforms]}
        assert isinstance(transform, DisplacementField), f"{type(transform).__name__} has no form on the disk"
        inverse = self.transform(transform.inverse_field)
        return {"kind": "field", "array": self.array(transform.array), "inverse": inverse, **_grid(transform.geometry)}

    def array(self, array: np.ndarray) -> str:
        if id(array) not in self.names:
            name = f"{self.prefix}{len(self.names)}.npy"
            np.save(self.folder / name, np.ascontiguousarray(array), allow_pickle=False)
            self.names[id(array)] = name
        return self.names[id(array)]


class _Reader:
    """The way back: one array per file, shared where the writer found it shared."""

    def __init__(self, folder: Path, i_fastest: bool = False):
        self.folder, self.i_fastest = folder, i_fastest
        self.arrays: dict[str, np.ndarray] = {}

    def value(self, value: Any) -> Any:
        """The way back of `_Writer.value`."""
        kind = value["kind"] if isinstance(value, dict) else None
        if kind in _KINDS:
            return self.image(value)
        if kind == "options":
            return RegistrationOptions.from_dict(value["values"])
        if kind == "array":
            return self.array(value["array"])
        if kind == "path":
            return Path(value["path"])
        if kind == "numbers":
            return value["values"]
        return value if kind is None else self.transform(value)

    def image(self, values: dict[str, Any] | None) -> Image | None:
        if values is None:
            return None
        return _KINDS[values["kind"]](
            self.array(values["array"]), _geometry(values), values["name"], tuple(values["notes"])
        )

    def transform(self, values: dict[str, Any] | None) -> Transform | None:
        if values is None:
            return None
        if values["kind"] == "affine":
            return AffineTransform(np.array(values["matrix"]))
        if values["kind"] == "composite":
            return CompositeTransform(tuple(self.transform(part) for part in values["parts"]))
        inverse = self.transform(values["inverse"])
        return DisplacementField(self.array(values["array"]), _geometry(values), inverse)

    def array(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            array = np.load(self.folder / name, allow_pickle=False)
            self.arrays[name] = _i_fastest(array) if self.i_fastest else array
        return self.arrays[name]


def _i_fastest(array: np.ndarray) -> np.ndarray:
    """The same (I, J, K, ...) array with I fastest in memory, except for what comes after K."""
    axes = (2, 1, 0, *range(3, array.ndim))
    return np.ascontiguousarray(array.transpose(axes)).transpose(axes)


def _grid(geometry: Geometry) -> dict[str, Any]:
    return {"shape": list(geometry.shape), "affine": geometry.affine.tolist()}


def _geometry(values: dict[str, Any]) -> Geometry:
    return Geometry(tuple(values["shape"]), np.array(values["affine"]))
