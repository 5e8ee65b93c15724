"""Nothing can be seen of a stand-in that the headers of CTK and Slicer do not declare."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

from PySide6 import QtCore, QtWidgets
from support.qt_standin import modules, slicer_application, slicer_module
from support.qt_standin.declare import STAND_INS, stand_in
from support.qt_standin.headers import undeclared
from support.qt_standin.strict import strict
from support.shared_data import harness_folder

#: They declare the classes that are checked here.
DECLARING = (modules, slicer_application, slicer_module)


@pytest.fixture(scope="module")
def api():
    return json.loads((harness_folder() / "qt_api.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(STAND_INS))
def test_a_stand_in_shows_only_what_the_headers_declare(name, api):
    assert undeclared(STAND_INS[name], api) == []


@pytest.fixture
def a_stand_in(monkeypatch):
    """Makes a stand-in of ctkSliderWidget that declares something else."""
    monkeypatch.setattr("support.qt_standin.declare.STAND_INS", {})

    def make(methods=(), signals=(), **content):
        base = strict(QtWidgets.QWidget)
        return stand_in(methods, signals)(type(base)("ctkSliderWidget", (base,), content))

    return make


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        ({"methods": ["setMinimum"]}, "ctkSliderWidget.setMinimum()"),
        ({"signals": ["minimumChanged(double)"]}, "ctkSliderWidget.minimumChanged()"),
        ({"speed": QtCore.Property(float, lambda self: 0.0)}, "ctkSliderWidget.speed"),
        ({"value": QtCore.Property(int, lambda self: 0, lambda self, v: None)}, "ctkSliderWidget.value: int"),
        ({"value": QtCore.Property(float, lambda self: 0.0)}, "ctkSliderWidget.value: double, writable False"),
    ],
)
def test_a_member_that_no_header_declares_is_found(a_stand_in, api, declared, found):
    assert [text[: len(found)] for text in undeclared(a_stand_in(**declared), api)] == [found]


def test_a_class_that_no_header_declares_is_found(api):
    assert undeclared(type("ctkMagic", (), {}), api) == ["ctkMagic is no class with Q_OBJECT"]
