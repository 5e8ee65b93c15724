"""Every public name says what it does; how complex a function may be is in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shared_data import REPOSITORY
from support.source_style import undocumented

LIBRARY = sorted((REPOSITORY / "VoxelMorphSlicer" / "VoxelMorphLib").rglob("*.py"))


@pytest.fixture
def a_file(tmp_path: Path):
    def write(text: str) -> list[Path]:
        path = tmp_path / "written.py"
        path.write_text(text, encoding="utf-8")
        return [path]

    return write


@pytest.mark.slow
def test_public_names_of_the_library_have_docstrings():
    assert undocumented(LIBRARY) == []


@pytest.mark.parametrize(
    "text",
    [
        "A = 1",
        '"""M."""\ndef f(): ...',
        '"""M."""\nclass C: ...',
        '"""M."""\nclass C:\n    """C."""\n    def f(self): ...',
        '"""M."""\nclass B: ...\nclass C(B):\n    """C."""\n    def f(self):\n        """F."""',
    ],
)
def test_a_missing_docstring_is_found(a_file, text):
    assert len(undocumented(a_file(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        '"""M."""\ndef _f(): ...',
        '"""M."""\nclass B:\n    """B."""\n    def f(self):\n        """F."""\nclass C(B):\n    """C."""\n'
        "    def f(self): ...",
        '"""M."""\nclass N(nn.Module):\n    """N."""\n    def forward(self, x): ...',
    ],
)
def test_private_and_inherited_names_need_no_docstring(a_file, text):
    assert undocumented(a_file(text)) == []
