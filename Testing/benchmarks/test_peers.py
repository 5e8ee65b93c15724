"""The comparison with other programs measures what a made-up program is known to do, on grids of any direction."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.shared_data import data_folder
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField

from benchmarks.peers import execute
from benchmarks.peers.__main__ import main
from benchmarks.peers.execute import Registered, Result, Runner, measure_maps, measure_method, read_result
from benchmarks.peers.measure import agreement, regularity, round_trip
from benchmarks.peers.methods import METHODS, Method, is_installed, why_unavailable
from benchmarks.peers.pairs import GROUPS, Pair, Truth, find_pairs
from benchmarks.peers.programs.job import write_affine
from benchmarks.peers.table import COLUMNS, cells, failures, from_json, summary, versions

ANGLE = np.deg2rad(25)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])
#: Right-handed and left-handed, oblique both, with unequal voxels.
DIRECTIONS = {"right-handed": TURN, "left-handed": TURN @ np.diag([-1.0, 1.0, 1.0])}
#: Stretches by 1.2 along a patient's axis, which changes every volume by that factor.
STRETCH = np.diag([1.2, 1.0, 1.0])

#: A program that writes the field x -> centre + stretch (x - centre) as ITK does, in LPS, and its inverse.
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
import SimpleITK as sitk

job = json.loads(Path(sys.argv[1]).read_text())
folder = Path(job["folder"])
if job["options"].get("fails"):
    Path("left behind").write_text("by a program that writes where it runs")
    raise SystemExit("the images are too sad")
image = sitk.ReadImage(job["fixed"])
index = np.stack(np.meshgrid(*[np.arange(n) for n in image.GetSize()], indexing="ij"), -1)
axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
points = index @ axes.T + image.GetOrigin()
centre = np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))

def write(factor, name):
    vectors = (points - centre) * [factor - 1, 0, 0]
    field = sitk.GetImageFromArray(np.moveaxis(vectors, (0, 1, 2), (2, 1, 0)), isVector=True)
    field.CopyInformation(image)
    sitk.WriteImage(field, str(folder / name))
    return [{"file": str(folder / name), "inverted": False}]

result = {"forward": write(1.2, "there" + job["options"]["kind"]), "inverse": write(1 / 1.2, "back.nrrd")}
result.update(cpu_s=1.5, imports_s=0.5, peak_bytes=2_000_000, versions={"made-up": "3.1"})
if job["options"].get("one_way"):
    result["inverse"] = None
(folder / "result.json").write_text(json.dumps(result))
"""


@pytest.fixture
def a_program(tmp_path, monkeypatch):
    """Makes methods of the made-up program."""
    (tmp_path / "made_up.py").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setattr(execute, "PROGRAMS", tmp_path)

    def method(**options) -> Method:
        return Method("made up", "made_up.py", {"kind": ".nii.gz", **options})

    return method


@pytest.fixture(params=DIRECTIONS)
def a_pair(request, tmp_path) -> Pair:
    """Boxes on an oblique grid, the moving one stretched, with the truth."""
    shape, spacing = (24, 20, 16), (1.0, 1.5, 2.0)
    grid = Geometry.from_parts(shape, spacing, DIRECTIONS[request.param], (7.0, -11.0, 5.0))
    stretch = _about(grid.centre, STRETCH)
    fixed = LabelMap(_box(shape), grid)
    labels = AffineTransform(stretch).inverse().resample(fixed, grid)
    files = [tmp_path / f"{name}.nii.gz" for name in ("fixed", "moving", "fixed_labels", "moving_labels")]
    for labelled, path in zip((fixed, labels, fixed, labels), files):
        write_image(labelled if "labels" in path.name else Image(labelled.array * 100.0, grid), path)
    return Pair("mouse", "a-b", *files, truth=lambda: Truth(AffineTransform(stretch), fixed.array > 0))


def _box(shape: tuple[int, ...]) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[8:16, 6:14, 4:12], labels[8:16, 6:14, 8:12] = 1, 2
    return labels


def _about(centre: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, centre - matrix @ centre
    return affine


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".nii.gz", ".nrrd", ".mha"])
def test_a_field_in_lps_is_measured_on_grids_of_any_direction(a_program, a_pair, kind):
    result = measure_method("made", a_program(kind=kind), a_pair, Runner(sys.executable))
    assert result.failure == ""
    assert result.error_mm == pytest.approx(0, abs=1e-3)
    assert result.folded_percent == 0
    assert result.log_jacobian_std == pytest.approx(0, abs=1e-4)
    assert result.dice > 0.95 and result.back_dice > 0.85
    assert result.round_trip_mm == pytest.approx(0, abs=1e-3)
    assert (result.back_by, result.cpu_s, result.peak_bytes) == ("inverse", 1.5, 2_000_000)
    assert result.versions == {"made-up": "3.1"}


@pytest.mark.slow
def test_a_program_without_inverse_registers_the_swapped_pair(a_program, a_pair):
    method = a_program(one_way=True)
    swapped = measure_method("made", method, a_pair, Runner(sys.executable))
    assert swapped.back_by == "swap"
    assert swapped.back_dice < 0.9 and swapped.round_trip_mm > 0.5  # it stretches whatever it is given
    alone = measure_method("made", method, a_pair, Runner(sys.executable, swap=False))
    assert (alone.back_by, alone.back_dice, alone.round_trip_mm) == ("", None, None)
    assert alone.dice == swapped.dice


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_determinants_do_not_depend_on_the_axes_of_the_grid(direction):
    """A map that is known in mm: one side is stretched, the other turned inside out."""
    grid = Geometry.from_parts((21, 17, 15), (1.0, 1.5, 2.0), direction, (3.0, 2.0, 1.0))
    offset = (grid.points() - grid.centre) @ np.diag([1.0, 0.0, 0.0])
    side = (grid.points() - grid.centre)[..., 0]
    everywhere = np.ones(grid.shape, bool)
    stretched = regularity(DisplacementField(offset * 0.2, grid), grid, everywhere)
    assert stretched.folded_percent == 0 and stretched.log_jacobian_std == pytest.approx(0, abs=1e-4)
    assert DisplacementField(offset * 0.2, grid).jacobian_determinant().array == pytest.approx(1.2, abs=1e-4)
    assert regularity(DisplacementField(offset * -2.0, grid), grid, everywhere).folded_percent == 100
    folded = DisplacementField(np.where(side[..., None] > 0, offset * -2.0, 0), grid)
    assert regularity(folded, grid, side < -3).folded_percent == 0
    assert regularity(folded, grid, side > 3).folded_percent == 100
    bent = DisplacementField(np.where(side[..., None] > 0, offset, 0), grid)  # determinants 1 and 2
    halves = (side > 3) | ((side < -3) & (side > -30))
    share = (side > 3).sum() / halves.sum()
    assert regularity(bent, grid, halves).log_jacobian_std == pytest.approx(
        np.log(2) * np.sqrt(share * (1 - share)), abs=1e-3
    )


def test_a_known_error_is_found(a_pair):
    shifted = AffineTransform(np.array([[1, 0, 0, 3.0], [0, 1, 0, 4.0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    pair = replace(a_pair, truth=lambda: Truth(AffineTransform(np.eye(4)), a_pair.truth().inside))
    result = measure_maps(Result("made", "mouse", "a-b"), pair, Registered(shifted, None), None, "")
    assert result.error_mm == pytest.approx(5) and result.error_p95_mm == pytest.approx(5)


def test_round_trips_count_what_stays_in_the_moving_image():
    grid = Geometry((10, 10, 10), np.eye(4))
    shift = AffineTransform(np.array([[1, 0, 0, 4.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    inside = np.ones(grid.shape, bool)
    assert round_trip(shift, shift.inverse(), grid, grid, inside).mean_mm == pytest.approx(0)
    assert round_trip(shift, shift, grid, grid, inside).mean_mm == pytest.approx(8)
    nowhere = AffineTransform(np.array([[1, 0, 0, 40.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    assert np.isnan(round_trip(nowhere, shift, grid, grid, inside).mean_mm)


def test_labels_that_vanish_are_named_and_distances_are_in_mm():
    grid = Geometry((24, 20, 16), np.diag([0.5, 1.0, 2.0, 1.0]))
    fixed = LabelMap(_box(grid.shape), grid)
    two_voxels = AffineTransform(np.array([[1, 0, 0, 0], [0, 1, 0, 2.0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    found = agreement(two_voxels, fixed, fixed)
    assert found.hd95_mm == pytest.approx(2) and found.lost == () and 0.7 < found.dice < 0.8
    away = AffineTransform(np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 16.0], [0, 0, 0, 1]]))
    gone = agreement(away, fixed, fixed, labels=(1, 2, 99))
    assert gone.lost == (1,)
    assert (
        agreement(two_voxels, fixed, fixed.with_array(fixed.array * 3)).dice != agreement(two_voxels, fixed, fixed).dice
    )


def test_affine_and_field_are_applied_in_their_order(tmp_path):
    """The parts of ANTs and greedy: the field lies on the fixed grid, the matrix follows; the way back inverts it."""
    matrix = _about(np.array([1.0, 2.0, 3.0]), DIRECTIONS["right-handed"] @ STRETCH)
    write_affine(str(tmp_path / "affine.tfm"), matrix.tolist())
    written = sitk.ReadTransform(str(tmp_path / "affine.tfm"))
    lps = np.diag([-1.0, -1.0, 1.0])
    point = np.array([5.0, -6.0, 7.0])
    expected = matrix[:3, :3] @ point + matrix[:3, 3]
    np.testing.assert_allclose(lps @ written.TransformPoint(lps @ point), expected)

    grid = Geometry.from_parts((8, 8, 8), (2, 2, 2), DIRECTIONS["left-handed"], (0, 0, 0))
    field = sitk.GetImageFromArray(np.tile([1.0, 0.0, 0.0], (8, 8, 8, 1)), isVector=True)  # LPS: to the left
    field.SetSpacing((2.0, 2.0, 2.0))
    field.SetDirection((lps @ grid.direction).ravel().tolist())
    sitk.WriteImage(field, str(tmp_path / "field.mha"))
    parts = [{"file": str(tmp_path / name), "inverted": False} for name in ("field.mha", "affine.tfm")]
    costs = {"cpu_s": 1.0, "imports_s": 0.0, "peak_bytes": 1, "versions": {}}
    found = read_result({"forward": parts, "inverse": [{**parts[1], "inverted": True}], **costs})
    inner = grid.centre
    np.testing.assert_allclose(
        found.forward.apply_to_points(inner), matrix[:3, :3] @ (inner - [1, 0, 0]) + matrix[:3, 3], atol=1e-9
    )
    np.testing.assert_allclose(found.inverse.apply_to_points(expected), point, atol=1e-9)


@pytest.mark.slow
def test_a_program_that_fails_is_told_with_its_last_words(a_program, a_pair, tmp_path):
    kept = tmp_path / "kept"
    result = measure_method("made", a_program(fails=True), a_pair, Runner(sys.executable, keep=kept))
    assert result.failure == "exit status 1: the images are too sad"
    folder = kept / "made" / "mouse" / "a-b" / "there"
    assert "too sad" in (folder / "log.txt").read_text()
    assert (folder / "left behind").is_file() and not Path("left behind").exists()


def test_what_is_not_installed_says_how_to_install_it():
    missing = Method("Nothing", "run_nothing.py", package="no-such-program-at-all")
    assert why_unavailable(missing, sys.executable) == (
        f"not installed: {sys.executable} -m pip install no-such-program-at-all"
    )
    assert not is_installed("no-such-program-at-all", sys.executable) and is_installed("numpy", sys.executable)


def test_options_that_this_version_lacks_are_no_error():
    method = Method("VoxelMorph, future", "run_voxelmorph.py", {"model": "optimise", "no_such_option": 1})
    assert "no_such_option" in why_unavailable(method, sys.executable)
    assert why_unavailable(METHODS["ours-balanced"], sys.executable) == ""


def test_every_method_has_its_script_and_known_groups():
    for method in METHODS.values():
        assert not method.script or (execute.PROGRAMS / method.script).is_file()
        assert set(method.groups or ()) <= set(GROUPS)
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


def test_the_table_has_means_and_marks_what_came_by_the_swapped_pair():
    rows = [
        Result("greedy", "mouse", "a-b", dice=0.8, cpu_s=10.0, peak_bytes=1_500_000_000, back_dice=0.7, back_by="swap"),
        Result("greedy", "mouse", "b-c", dice=0.9, cpu_s=30.0, peak_bytes=500_000_000, back_dice=0.9, back_by="swap"),
        Result("greedy", "mouse", "c-d", failure="exit status 1: a | b"),
        Result("elastix", "mouse", "a-b", dice=float("nan"), error_mm=1.234),
    ]
    titles = {"elastix": "elastix", "greedy": "greedy"}
    lines = summary(rows, titles).splitlines()
    assert lines[0].startswith("| pairs | method | Dice | back | HD95, mm |")
    assert lines[2] == "| mouse (1) | elastix | – | – | – | – | 1.23 | – | – | – | – | – |"
    assert lines[3] == "| mouse (2 of 3) | greedy | 0.850 | 0.800^ | – | – | – | – | – | – | 20.0 | 1.00 |"
    assert failures(rows, titles, {"elastix": "not installed"}).splitlines() == [
        "- elastix: not installed",
        "- greedy, mouse/c-d: exit status 1: a | b",
    ]
    assert len(cells(rows)) == len(COLUMNS)


def test_results_survive_their_file_and_know_the_versions():
    row = Result("ants", "mouse", "a-b", dice=0.5, lost=(3,), versions={"antspyx": "0.6"})
    assert from_json(json.loads(json.dumps({**asdict(row), "of_another_version": 1}))) == row
    assert versions([row, replace(row, versions={"antspyx": "0.5"})]) == {"antspyx": "0.5 and 0.6"}


def test_pairs_without_data_are_none(tmp_path, monkeypatch, capsys):
    assert find_pairs(tmp_path, tmp_path, []) == []
    monkeypatch.setenv("VXM_DATA", str(tmp_path))
    assert main(["--out", str(tmp_path / "out")]) == 1
    assert "VXM_DATA" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--peers-python", str(tmp_path / "no python")])
    assert "no python is no program" in capsys.readouterr().err


def test_pairs_are_found_by_group_and_name(tmp_path):
    data = data_folder()
    assert {pair.group for pair in find_pairs(data, tmp_path, [])} == set(GROUPS)
    (mouse,) = find_pairs(data, tmp_path, ["mouse/fvb1-*"])
    assert (mouse.fixed.name, mouse.moving.name) == ("fvb1_t2.nii.gz", "fvb2_t2.nii.gz")
    assert (mouse.fixed_labels.name, mouse.moving_labels.name) == ("fvb1_labels.nii.gz", "fvb2_labels.nii.gz")
    (oasis,) = find_pairs(data, tmp_path, ["oasis"])
    assert (oasis.fixed.name, len(oasis.labels)) == ("oasis_b_t1.nii.gz", 30)
    files = [path for pair in find_pairs(data, tmp_path, ["[!m]*", "mouse", "multimodal"]) for path in _files(pair)]
    assert files and all(path.is_file() for path in files)


def _files(pair: Pair) -> list[Path]:
    return [path for path in (pair.fixed, pair.moving, pair.fixed_labels, pair.moving_labels) if path is not None]


@pytest.mark.slow
def test_the_stored_truth_undoes_its_deformation(tmp_path):
    """The images of one contrast agree better by the truth than by the headers."""
    pair = find_pairs(data_folder(), tmp_path, ["multimodal/seed1000_t2"])[0]
    truth = pair.truth()
    plain, warped = read_image(pair.fixed.with_name("t2.nii.gz")), read_image(pair.moving)
    by_truth, by_headers = (
        np.corrcoef(plain.array[truth.inside], way.resample(warped, plain.geometry).array[truth.inside])[0, 1]
        for way in (truth.forward, IDENTITY)
    )
    assert by_truth > 0.97 and by_headers < by_truth - 0.1


@pytest.mark.slow
def test_our_affine_on_a_hippocampus_is_measured_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VXM_DATA", str(data_folder()))
    arguments = ["--pairs", "hippocampus/216-162", "--methods", "headers", "ours-affine", "--out", str(tmp_path)]
    assert main(arguments) == 0
    stored = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    headers, affine = stored["rows"]
    assert affine["dice"] > headers["dice"] + 0.1 and affine["round_trip_mm"] < 1e-6
    assert affine["cpu_s"] > 0 and affine["peak_bytes"] > 1e8 and "torch" in affine["versions"]
    capsys.readouterr()
    assert main(arguments) == 0  # measures nothing again
    assert "..." not in capsys.readouterr().err
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"] == stored["rows"]
