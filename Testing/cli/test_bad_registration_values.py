"""A matrix of values that no option of a registration can have: exit code 2 and one sentence, and no file."""

from __future__ import annotations

import pytest
from support.refusal import refused
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.options import Option, options_of

DIGITS = "9" * 400


def impossible(option: Option) -> list[str]:
    """Texts that the option cannot mean."""
    if option.choices:
        return ["nonsense", "", "1", "NONE", "auto,none"]
    if option.kind is str:
        return []
    beyond = [str(option.low - 1), str(option.high * 2 + 1)] if option.low is not None else []
    return [*beyond, "many", "", "nan", "inf", "-inf", DIGITS, f"-{DIGITS}", "1,2", "0x10", "1e999", "one"]


VALUES = [(option.name, text) for option in options_of(RegistrationOptions).values() for text in impossible(option)]
VALUES += [("device", text) for text in ("toaster", "cuda:-1", "cuda:999", "cuda:x", "cpu:7", "", " ", "CPU,cuda")]
VALUES += [("model", text) for text in ("no-such-model", "optimize", "a\x00b", "models.json", "/", "x.h5", "x" * 5000)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("good")
    write_image(a_blob_image(a_geometry("RAS", (14, 12, 10), 2.0)), path / "good.nii.gz")
    return path


@pytest.mark.parametrize(("name", "text"), VALUES, ids=lambda text: repr(text[:12]))
def test_an_impossible_value_is_one_sentence(folder, capsys, monkeypatch, name, text):
    monkeypatch.setenv("VXM_CACHE", str(folder / "cache"))
    assert "fault" not in refused(folder, capsys, **{name: text})
