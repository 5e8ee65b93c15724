"""Puts the stand-ins where module code imports them from, and takes them away again."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

#: What slicer-core lacks: the imitations in `base_python`, or Slicer's own files where SLICER_PY names their folder.
_IMITATIONS = ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper")
_SLICER_FILES = ("util", *_IMITATIONS)
#: Classes without stand-in that slicer.parameterNodeWrapper compares widgets with.
_COMPARED = ("qMRMLRangeWidget", "qMRMLSliderWidget", "qMRMLSpinBox")
#: The modules below `slicer` that were imported with the stand-ins; in sys.modules only while these are installed.
_imported: dict[str, types.ModuleType] = {}


def slicer_sources() -> Path | None:
    """The folder Base/Python of Slicer's sources (SLICER_PY), or None where the variable is unset.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = os.environ.get("SLICER_PY")
    if folder and not (Path(folder) / "slicer" / "i18n.py").is_file():
        raise FileNotFoundError(f"SLICER_PY is {folder}, which has no slicer/i18n.py. Name Base/Python of the sources.")
    return Path(folder) if folder else None


@functools.cache
def _qt_application(headless):
    """The one QApplication of the process."""
    _keep_constants()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from .application import qSlicerApplication

    return qSlicerApplication(headless)


def _keep_constants() -> None:
    """Give None, True and False references to spare before Python 3.12, where they are immortal.

    PySide6 6.12 returns them without counting, and Python ends the process when the count of one reaches zero.
    """
    if sys.version_info < (3, 12):
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40


@contextlib.contextmanager
def installed(headless) -> Iterator:
    """`slicer.app`, `qt`, `ctk` and what else a scripted module imports, over a headless application.

    Args:
        headless: `HeadlessApplication`.

    Yields:
        slicer.app
    """
    import slicer

    from .declare import STAND_INS
    from .modules import ctk_module, qt_module, widget_class

    application = _qt_application(headless)
    with pytest.MonkeyPatch.context() as patch, _own_imports(slicer):
        patch.setitem(sys.modules, "qt", qt_module())
        patch.setitem(sys.modules, "ctk", ctk_module())
        contents = {"app": application, "modules": _modules(headless), "moduleNames": types.SimpleNamespace()}
        widgets = [name for name in STAND_INS if name.startswith("q")]
        contents.update({name: widget_class(name) for name in (*widgets, *_COMPARED)})
        vars(slicer).update(contents)
        sys.modules["slicer.modules"] = slicer.modules
        _install_python_files(slicer)
        yield application


class _LoadableModule:
    """slicer.modules.volumes and the like: only their logic."""

    def __init__(self, name: str, logic):
        self.name, self._logic = name, logic

    def logic(self):
        """Slicer's own logic."""
        return self._logic


def _modules(headless) -> types.ModuleType:
    modules = types.ModuleType("slicer.modules")
    for name, logic in headless.logics.items():
        setattr(modules, name.lower(), _LoadableModule(name, logic))
    return modules


def _install_python_files(slicer) -> None:
    if slicer_sources() is None:
        for name in _IMITATIONS:
            module = importlib.import_module(f".base_python.{name}", __package__)
            sys.modules[f"slicer.{name}"] = module
            setattr(slicer, name, module)
        return
    slicer.__path__ = [str(slicer_sources() / "slicer"), *slicer.__path__]
    for name in _SLICER_FILES:
        if f"slicer.{name}" not in _imported:
            sys.modules.pop(f"slicer.{name}", None)  # slicer-core has a slicer.util of its own
        setattr(slicer, name, importlib.import_module(f"slicer.{name}"))


@contextlib.contextmanager
def _own_imports(slicer) -> Iterator[None]:
    """Leave `slicer` and the modules below it as they were, and bring the same modules back at the next installation.

    Code under test keeps classes of slicer.parameterNodeWrapper, and a second copy of it would not recognise them.
    """
    modules, contents = _below_slicer(), dict(vars(slicer))
    sys.modules.update(_imported)
    for name, module in _imported.items():
        parent, _dot, child = name.rpartition(".")
        setattr(sys.modules[parent], child, module)
    try:
        yield
    finally:
        now = _below_slicer()
        _imported.update({name: module for name, module in now.items() if module is not modules.get(name)})
        _restore(sys.modules, now, modules)
        _restore(vars(slicer), dict(vars(slicer)), contents)


def _below_slicer() -> dict[str, types.ModuleType]:
    return {name: module for name, module in list(sys.modules.items()) if name.startswith("slicer.")}


def _restore(mapping: dict, now: dict, before: dict) -> None:
    """Undo the changes of these items; never is one of those missing that were there before."""
    mapping.update(before)
    for name in now.keys() - before.keys():
        del mapping[name]
