"""The stand-in's list of declarations is cut from the list of all classes of CTK and Slicer."""

from __future__ import annotations

import json

import pytest
from support.shared_data import harness_folder

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

from slicer_standin import application, modules, scripted_module
from slicer_standin.declare import STAND_INS, api_of, declared_by_headers

#: They declare the stand-ins.
DECLARING = (modules, application, scripted_module)


def test_the_list_of_declarations_is_cut_from_the_whole_one():
    whole = json.loads((harness_folder() / "qt_api.json").read_text(encoding="utf-8"))
    assert api_of(STAND_INS, whole) == declared_by_headers()
