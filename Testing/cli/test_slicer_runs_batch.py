"""Slicer's own command line logic runs the batch command as it runs any other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from support.cli_description import Description, require_parser, run_to_end
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.batch.results import read_results
from VoxelMorphLib.core.io.images import write_image

SCRIPT = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "CLI" / "VoxelMorphBatch.py"


@pytest.fixture
def batch(application, scene):
    """Run the batch command with parameters by name; gives the finished command node."""
    require_parser()
    description = Description(SCRIPT.with_suffix(".xml").read_text(), target=str(SCRIPT), location=sys.executable)
    logic = description.logic(application)

    def run(**values):
        node = description.node(scene)
        for name, value in values.items():
            node.SetParameterAsString(name, str(value))
        run_to_end(node, logic, application)
        return node

    return run


@pytest.mark.slow
def test_a_folder_is_registered_to_a_template(batch, tmp_path):
    (tmp_path / "scans").mkdir()
    for number, name in enumerate(("LAS", "oblique")):
        write_image(a_blob_image(a_geometry(name)), tmp_path / "scans" / f"scan{number}.nii.gz")
    write_image(a_blob_image(a_geometry()), tmp_path / "template.nii.gz")
    out = tmp_path / "out"
    chosen = {"model": "linear", "affine": "centre", "device": "cpu", "thumbnails": "false", "inverse": "false"}
    node = batch(to=tmp_path / "template.nii.gz", folder=tmp_path / "scans", outputDir=out, **chosen)
    assert (node.GetStatusString(), node.GetErrorText()) == ("Completed", "")
    assert [(row["id"], row["status"]) for row in read_results(out / "results.csv")] == [
        ("scan0_to_template", "done"),
        ("scan1_to_template", "done"),
    ]
    assert {path.name for path in (out / "scan1_to_template").iterdir()} == {
        "moved.nii.gz",
        "forward.h5",
        "result.json",
    }
    assert "2 pairs registered" in node.GetOutputText()


@pytest.mark.slow
def test_a_table_that_cannot_be_used_is_one_sentence(batch, application, tmp_path):
    (tmp_path / "pairs.csv").write_text("fixed,moved\na.nii,b.nii\n")
    node = batch(pairs=tmp_path / "pairs.csv", outputDir=tmp_path / "out")
    assert node.GetStatusString() == "Completed with errors"
    assert node.GetErrorText().startswith("Error: ") and "has no column moving" in node.GetErrorText()
    assert not (tmp_path / "out").exists() and application.errors
    application.errors.clear()
