"""The batch command registers many pairs; one that cannot be registered says why and stops no other."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.batch import pool
from VoxelMorphLib.batch.options import IMAGE_FORMATS, TRANSFORM_FORMATS
from VoxelMorphLib.cli.batch import main
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import IMAGE_EXTENSIONS, read_image, read_label_map, write_image
from VoxelMorphLib.core.io.transforms import WRITABLE, read_transform

GRIDS = {"a": a_geometry(shape=(20, 18, 16)), "b": a_geometry("oblique", (18, 20, 16)), "c": a_geometry("LAS")}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder with three images of the same blobs, their label maps, and files that cannot be registered."""
    folder = tmp_path_factory.mktemp("scans")
    for kind in ("images", "labels", "bad"):
        (folder / kind).mkdir()
    for name, grid in GRIDS.items():
        write_image(a_blob_image(grid), folder / "images" / f"{name}.nii.gz")
        write_image(a_label_map(grid), folder / "labels" / f"{name}.nii.gz")
    write_image(Image(np.full((9, 9, 9), 7.0), a_geometry(shape=(9, 9, 9))), folder / "bad" / "constant.nii.gz")
    (folder / "bad" / "torn.nii.gz").write_bytes((folder / "images" / "a.nii.gz").read_bytes()[:300])
    return folder


def table(folder):
    with (folder / "results.csv").open(newline="", encoding="utf-8") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


def files(folder):
    skipped = ("results.csv", "report.html")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in skipped
    }


@pytest.mark.slow
def test_a_table_with_one_bad_row_of_each_kind(scans, tmp_path, capfd):
    lines = {
        "good": "images/a.nii.gz,images/b.nii.gz,good,labels/a.nii.gz,labels/b.nii.gz,,linear",
        "missing": "images/a.nii.gz,images/none.nii.gz,missing,,,,linear",
        "constant": "images/a.nii.gz,bad/constant.nii.gz,constant,,,,linear",
        "torn": "bad/torn.nii.gz,images/a.nii.gz,torn,,,,linear",
        "option": "images/a.nii.gz,images/b.nii.gz,option,,,wild,linear",
        "model": "images/a.nii.gz,images/b.nii.gz,model,,,,no-such-model",
        "formula": "images/a.nii.gz,=images/b.nii.gz,formula,,,,linear",
        "last": "images/b.nii.gz,images/c.nii.gz,last,,,rigid,linear",
    }
    header = "fixed,moving,id,fixedLabels,movingLabels,affine,model"
    (scans / "pairs.csv").write_text("\n".join([header, *lines.values()]))
    out = tmp_path / "out"
    command = ["--pairs", str(scans / "pairs.csv"), "--outputDir", str(out), "--device", "cpu", "--report"]
    assert main([*command, "--transformFormat", ".nrrd"]) == 0
    said = capfd.readouterr()
    assert "2 pairs registered, 0 already done, 6 failed." in said.out and "Traceback" not in said.err
    assert said.err.endswith(f"Warning: 6 of 8 pairs failed; {out / 'results.csv'} says why.\n")
    rows = table(out)
    assert list(rows) == list(lines)
    told = {row_id: row["sentence"] for row_id, row in rows.items() if row["status"] == "failed"}
    assert set(told) == set(lines) - {"good", "last"}
    for row_id, words in {
        "missing": "none.nii.gz does not exist",
        "constant": "is empty or constant",
        "torn": "damaged",
        "option": "affine is 'wild'; choose one of",
        "model": "no-such-model",
        "formula": "which spreadsheets take for a formula",
    }.items():
        assert words in told[row_id] and told[row_id].endswith("."), told[row_id]
        assert not (out / row_id).exists()
    assert float(rows["good"]["dice_after"]) > float(rows["good"]["dice_before"]) - 0.05
    assert sorted(path.name for path in (out / "good").iterdir()) == [
        *("forward.nrrd", "inverse.nrrd", "moved.nii.gz", "movedLabels.nii.gz"),
        *("result.html", "result.json", "result.png"),
    ]
    moved = read_image(out / "good" / "moved.nii.gz")
    assert moved.geometry.matches(GRIDS["a"])
    assert set(read_label_map(out / "good" / "movedLabels.nii.gz").labels()) <= {0, 2, 17, 53}
    forward = read_transform(out / "good" / "forward.nrrd")
    np.testing.assert_allclose(
        forward.resample(read_image(scans / "images/b.nii.gz"), GRIDS["a"]).array, moved.array, atol=0.05
    )
    assert "movedLabels.nii.gz" not in {path.name for path in (out / "last").iterdir()}
    page = (out / "report.html").read_text()
    assert page.index("none.nii.gz does not exist") < page.index("good/result.html")


@pytest.mark.slow
def test_one_process_or_two_and_a_second_time_leave_the_same_files(scans, tmp_path, capfd):
    def run(folder, *more):
        command = ["--all", str(scans / "images"), "--labels", str(scans / "labels"), "--model", "linear"]
        command += ["--affine", "centre", "--thumbnails", "false"]
        assert main([*command, "--outputDir", str(folder), "--device", "cpu", *more]) == 0
        return files(folder)

    one = run(tmp_path / "one")
    assert len(one) == 6 * 5
    assert run(tmp_path / "two", "--workers", "2") == one
    capfd.readouterr()
    assert run(tmp_path / "one") == one
    assert "0 pairs registered, 6 already done, 0 failed." in capfd.readouterr().out
    os.utime(scans / "images" / "a.nii.gz", (1e9, 1e9))
    assert set(run(tmp_path / "one")) == set(one)
    assert "4 pairs registered, 2 already done, 0 failed." in capfd.readouterr().out


REFUSED = {
    "nothing": ([], "None of --pairs, --all and --to was given"),
    "two ways": (["--pairs", "p.csv", "--all", "f"], "--pairs and --all were given. Give one of them"),
    "no folder": (["--to", "t.nii"], "--to and --folder belong together"),
    "no template": (["--all", "f", "--folder", "g"], "--to and --folder belong together"),
    "labels of a table": (["--pairs", "p.csv", "--labels", "l"], "--labels and --toLabels belong to folders"),
    "labels of no template": (["--all", "f", "--toLabels", "l"], "--toLabels belongs to --to"),
    "unknown model": (["--all", "f", "--model", "nonsense"], "nonsense"),
    "no weights": (["--all", "f", "--modelFile", "none.h5"], "--modelFile none.h5 does not exist"),
    "workers": (["--all", "f", "--workers", "0"], "workers is 0; choose a number from 1"),
    "format": (["--all", "f", "--imageFormat", ".png"], "image_format is '.png'; choose one of .nii.gz"),
    "no table": (["--pairs", "none.csv"], "none.csv cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_one_sentence(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    arguments, sentence = REFUSED[case]
    assert main([*arguments, "--outputDir", "out"]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and said.startswith("Error: ")
    assert list(tmp_path.iterdir()) == []


def test_the_output_folder_has_to_be_named(capsys):
    assert main(["--all", "f"]) == 2
    assert capsys.readouterr().err == "Error: --outputDir is missing. Name the folder for the results.\n"


def test_formats_can_be_written():
    assert set(IMAGE_FORMATS) <= set(IMAGE_EXTENSIONS)
    assert set(TRANSFORM_FORMATS) <= {name for name, kinds in WRITABLE.items() if "composite" in kinds}


def test_threads_of_the_processor_are_divided(monkeypatch, tmp_path):
    from VoxelMorphLib.batch.options import BatchOptions
    from VoxelMorphLib.batch.processor import Settings

    started = []
    monkeypatch.setattr(pool.subprocess, "Popen", lambda _command, **options: started.append(options["env"]))
    monkeypatch.setattr(pool, "_cores", lambda: 16)
    for workers in (1, 3, 40):
        pool.Pool(workers, Settings(Path(tmp_path), BatchOptions()))._start(0)
    assert [environment["OMP_NUM_THREADS"] for environment in started] == ["16", "5", "1"]
