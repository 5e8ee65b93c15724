"""The evaluate command: one pair in both directions, tables of pairs, models, and the outputs of each."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.measured_pair import ALL, FIXED, MOVING, files_of_a_pair, folder, words  # noqa: F401, fixtures
from support.volumes import a_blob_image, a_label_map
from VoxelMorphLib.cli.evaluate import main
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import write_image

SCRIPT = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "CLI" / "VoxelMorphEvaluate.py"


def table(path: Path) -> dict[tuple[str, str, str], tuple[float | str | None, ...]]:
    """(measure, label, name) -> before and after, of the pair with its id in front where there are several."""
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    return {(row["id"], row["measure"], row["label"] or row["name"]): (row["before"], row["after"]) for row in rows}


def after(found, *key: str) -> float:
    return float(next(value[1] for known, value in found.items() if known[1:] == key))


def test_everything_that_is_known_of_a_pair_is_measured(folder, capsys):  # noqa: F811
    outputs = {"csv": "o.csv", "json": "o.json", "report": "o.html"}
    assert main(words(**ALL, **outputs)) == 0
    found = table(folder / "o.csv")
    for label in ("2", "17", "53"):
        assert after(found, "dice", label) > 0.8
        before, value = (float(cell) for cell in found["moved.nii.gz", "dice", label])
        assert before < value
        assert after(found, "dice_back", label) > 0.95  # made by this very inverse
        assert after(found, "hd95", label) <= 3.0 and after(found, "volume_similarity", label) > 0.9
    assert after(found, "landmark_error", "mean") == pytest.approx(0.5, abs=0.01)
    assert after(found, "landmark_error", "p0") == pytest.approx(0.5, abs=0.01)
    assert after(found, "folded_voxels", "") == 0
    assert 0.6 < after(found, "jacobian", "minimum") < 1 < after(found, "jacobian", "maximum") < 1.5
    assert 0.03 < after(found, "log_jacobian_std", "") < 0.3
    assert after(found, "inverse_consistency", "mean") < 0.05
    assert after(found, "inverse_consistency_moving_first", "mean") < 0.2
    assert after(found, "correlation", "") > 0.98 and after(found, "correlation_back", "") > 0.98
    known = json.loads((folder / "o.json").read_text())
    (pair,) = known["pairs"]
    assert {measure["measure"] for measure in pair["measures"]} == {key[1] for key in found}
    assert pair["files"]["transform"] == str(folder / "forward.h5")
    assert known["means"]["dice"]["after"] == pytest.approx(
        np.mean([after(found, "dice", label) for label in ("2", "17", "53")])
    )
    page = (folder / "o.html").read_text()
    assert "Deformation" in page and "label 17" in page and "<img" in page
    assert len(re.findall(r'<tr><th scope="row">mean</th>(?:<td[^>]*>[^<]*→[^<]*</td>){5}</tr>', page)) == 1
    assert "Dice overlap (0 to 1)" in capsys.readouterr().out


def test_labels_alone_need_no_image(folder):  # noqa: F811
    assert main(words(fixedLabels="fl.nii.gz", movedLabels="dl.nii.gz", csv="o.csv")) == 0
    assert {key[1] for key in table(folder / "o.csv")} == {"dice", "hd95", "mean_surface_distance", "volume_similarity"}


@pytest.mark.parametrize("transform", ["forward.h5", "inverse.nii.gz"])
def test_a_transform_alone_is_looked_at_on_its_own_grid(folder, transform):  # noqa: F811
    assert main(words(transform=transform, csv="o.csv")) == 0
    found = table(folder / "o.csv")
    assert {key[1] for key in found} == {"folded_voxels", "folded_percent", "jacobian", "log_jacobian_std"}


@pytest.fixture
def without_pictures(monkeypatch):
    """Pages that are read for their text: drawing would take most of the time."""
    monkeypatch.setattr("VoxelMorphLib.report.evaluation_page.comparison_pictures", lambda _views: [])


@pytest.mark.usefixtures("without_pictures")
def test_names_come_from_tables_and_choose_the_labels(folder):  # noqa: F811
    (folder / "names.csv").write_text("label,name\n17,=inner\n2,<script>alert(1)</script>\n99,absent\n")
    given = words(fixedLabels="fl.nii.gz", movedLabels="dl.nii.gz", labels="names.csv", csv="o.csv", report="o.html")
    assert main(given) == 0
    rows = list(csv.DictReader((folder / "o.csv").open()))
    assert {(row["label"], row["name"]) for row in rows if row["label"]} == {
        ("17", "'=inner"),
        ("2", "<script>alert(1)</script>"),
    }
    page = (folder / "o.html").read_text()
    assert "<script" not in page and "label 2 (&lt;script&gt;alert(1)&lt;/script&gt;)" in page


def test_a_structure_that_the_moved_map_lost_counts_and_one_that_it_invented_is_told(folder):  # noqa: F811
    labels = a_label_map(FIXED)
    changed = np.where(labels.array == 53, 0, labels.array)
    changed[0, 0, 0] = 7
    write_image(LabelMap(changed, FIXED), folder / "lost.nii.gz")
    assert main(words(fixedLabels="fl.nii.gz", movedLabels="lost.nii.gz", csv="o.csv")) == 0
    found = table(folder / "o.csv")
    assert after(found, "dice", "53") == 0 and after(found, "dice", "2") == 1
    assert after(found, "dice", "mean") == pytest.approx(2 / 3)
    assert found["lost.nii.gz", "not_compared", "7"] == ("", "not in fl.nii.gz")


PAIRS = """id,fixed,moved,fixedLabels,movedLabels
good,fixed.nii.gz,moved.nii.gz,fl.nii.gz,dl.nii.gz
"=bad <script>",fixed.nii.gz,moving.nii.gz,,
"""


def test_a_table_of_pairs(folder, capsys):  # noqa: F811
    (folder / "pairs.csv").write_text(PAIRS)
    assert main(words(pairs="pairs.csv", csv="o.csv", json="o.json", report="o.html")) == 0
    found = table(folder / "o.csv")
    assert {key[0] for key in found} == {"good", "'=bad <script>"}
    assert [pair["id"] for pair in json.loads((folder / "o.json").read_text())["pairs"]] == ["good", "=bad <script>"]
    page = (folder / "o.html").read_text()
    assert page.index("&lt;script&gt;") < page.index(">good<"), "what has no overlap stands first"
    assert "<script" not in page and page.count('class="small"') == 2
    printed = capsys.readouterr().out
    assert "good: Overlap of 3 structures" in printed and "Dice of 1 pair: " in printed


def test_options_beside_a_table_count_for_rows_that_leave_them_out(folder):  # noqa: F811
    (folder / "pairs.csv").write_text("id,movedLabels,colour\na,dl.nii.gz,red\nb,fl.nii.gz,blue\n")
    assert main(words(pairs="pairs.csv", fixedLabels="fl.nii.gz", csv="o.csv")) == 0
    assert table(folder / "o.csv")["b", "dice", "2"][1] == "1.0"


@pytest.mark.slow
def test_a_model_is_measured_on_scans_with_their_own_labels(folder, capsys):  # noqa: F811
    for name, geometry in (("atlas", FIXED), ("one", MOVING), ("two", FIXED)):
        image, labels = a_blob_image(geometry), a_label_map(geometry)
        shift = geometry.affine.copy()
        shift[:3, 3] += (name != "atlas") * np.array([2.5, 0, 0])
        np.savez(folder / f"{name}.npz", vol=image.array, seg=labels.array, affine=shift)
    np.savez(folder / "labels.npz", labels=[2, 17, 53])
    given = ["--model", "linear", "--affine", "rigid", "--atlas", "atlas.npz", "--scans", "one.npz", "two.npz"]
    assert main([*given, *words(labels="labels.npz", csv="o.csv", report="o.html", device="cpu")]) == 0
    found = table(folder / "o.csv")
    assert {key[0] for key in found} == {"one", "two"}
    for name in ("one", "two"):
        for label in ("2", "17", "53"):
            before, value = (float(cell) for cell in found[name, "dice", label])
            assert before < 0.8 < value
            assert float(found[name, "dice_back", label][1]) > 0.8
        assert found[name, "model", ""][1]
    assert "Dice of 2 pairs: 0." in capsys.readouterr().out


def test_the_command_runs_as_a_process(folder):  # noqa: F811
    argv = [sys.executable, str(SCRIPT), *words(**ALL, csv="o.csv")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "<filter-progress>" in done.stdout and "label 17" in done.stdout
    argv[argv.index("moved.nii.gz")] = "absent.nii.gz"
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 2 and done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


def test_python_measures_the_same_files(folder):  # noqa: F811
    import VoxelMorphLib

    assert main(words(**ALL, csv="o.csv")) == 0
    found = table(folder / "o.csv")
    for row in VoxelMorphLib.evaluate(**ALL):
        before, value = found["moved.nii.gz", row.key, str(row.label) if row.label else row.name or row.structure]
        assert float(value) == pytest.approx(row.after) and (row.before is None) == (before == "")
    with pytest.raises(VoxelMorphLib.VoxelMorphError, match="'fixd' cannot be measured"):
        VoxelMorphLib.evaluate(fixd="a.nii.gz")
