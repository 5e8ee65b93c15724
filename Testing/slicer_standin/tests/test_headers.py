"""Nothing can be seen of a stand-in that the headers of CTK and Slicer do not declare."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

from PySide6 import QtCore, QtWidgets

from slicer_standin import application, modules, scripted_module
from slicer_standin.declare import STAND_INS, declared_by_headers, stand_in, undeclared
from slicer_standin.strict import strict

#: They declare the classes that are checked here.
DECLARING = (modules, application, scripted_module)


@pytest.fixture(scope="module")
def api():
    return declared_by_headers()


@pytest.mark.parametrize("name", sorted(STAND_INS))
def test_a_stand_in_shows_only_what_the_headers_declare(name, api):
    assert undeclared(STAND_INS[name], api) == []


@pytest.fixture
def a_stand_in(monkeypatch):
    """Makes a stand-in of ctkSliderWidget that declares something else."""
    monkeypatch.setattr("slicer_standin.declare.STAND_INS", {})

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
