"""The stand-ins are installed and taken away several times in one process."""

from __future__ import annotations

import importlib
import sys

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer

from slicer_standin import installation
from slicer_standin.headless import the_application


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Files as in Slicer's folder Base/Python, from which nothing was imported yet."""
    wrapper = tmp_path / "slicer" / "parameterNodeWrapper"
    wrapper.mkdir(parents=True)
    for name in ("util", "i18n", "ScriptedLoadableModule", "packaging"):
        (wrapper.parent / f"{name}.py").write_text("")
    (wrapper / "__init__.py").write_text("from .validators import WithinRange\n")
    (wrapper / "validators.py").write_text("class WithinRange:\n    pass\n")
    monkeypatch.setenv("SLICER_PY", str(tmp_path))
    monkeypatch.setattr(installation, "_imported", {})


@pytest.fixture
def installed():
    """Installs the stand-ins for a block."""
    return lambda: installation.installed(the_application())


def wrapper_classes() -> list[type]:
    names = ("slicer.parameterNodeWrapper", "slicer.parameterNodeWrapper.validators")
    return [importlib.import_module(name).WithinRange for name in names]


def test_classes_of_slicers_own_files_are_the_same_at_every_installation(sources, installed):
    with installed():
        first = wrapper_classes()
        importlib.import_module("slicer.packaging")
    with installed():
        assert [*wrapper_classes(), slicer.parameterNodeWrapper.WithinRange] == [*first, first[0]]
        assert slicer.packaging is sys.modules["slicer.packaging"]


@pytest.mark.parametrize("files", ["imitations", "sources"])
def test_nothing_is_left_behind(files, installed, request):
    the_application()
    if files == "sources":
        request.getfixturevalue("sources")
    before = (
        dict(vars(slicer)),
        {name for name in sys.modules if name.startswith("slicer.")},
        sys.modules["slicer.util"],
    )
    for _each in range(2):
        with installed():
            importlib.import_module("slicer.parameterNodeWrapper")
        names = {name for name in sys.modules if name.startswith("slicer.")}
        assert (vars(slicer), names, sys.modules["slicer.util"]) == before
    with pytest.raises(ImportError):
        importlib.import_module("slicer.parameterNodeWrapper")
