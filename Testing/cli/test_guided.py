"""The register command with landmarks and labels: they start and pull, and bad ones end in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.refusal import refused
from support.volumes import a_blob_image, a_geometry, a_label_map, rotation, transformed
from VoxelMorphLib.cli.register import main
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.transforms import read_transform

GRID = a_geometry("RAS", (18, 16, 14), 2.0)
#: Corners of a small box inside, RAS mm.
PLACES = GRID.voxel_to_world(np.array([[5.0, 5, 5], [12, 5, 5], [5, 10, 5], [5, 5, 9], [12, 10, 9]]))


def points(path: Path, positions: np.ndarray) -> Path:
    """A .csv of points with labels."""
    rows = [f"p{number},{x},{y},{z}" for number, (x, y, z) in enumerate(np.atleast_2d(positions))]
    path.write_text("\n".join(["label,x,y,z", *rows]) + "\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_image(a_blob_image(GRID), tmp_path / "good.nii.gz")
    write_image(a_blob_image(GRID, seed=1), tmp_path / "other.nii.gz")
    write_image(a_label_map(GRID), tmp_path / "labels.nii.gz")
    points(tmp_path / "points.csv", PLACES)
    return tmp_path


def other_labels(folder: Path) -> Path:
    write_image(LabelMap(np.where(a_label_map(GRID).array > 0, 99, 0), GRID), folder / "others.nii.gz")
    return folder / "others.nii.gz"


def far_labels(folder: Path) -> Path:
    shift = np.eye(4)
    shift[0, 3] = 500
    write_image(LabelMap(a_label_map(GRID).array, transformed(GRID, shift)), folder / "far.nii.gz")
    return folder / "far.nii.gz"


def binary(folder: Path) -> Path:
    write_image(Image((a_label_map(GRID).array > 0).astype(np.uint8), GRID), folder / "binary.nii.gz")
    return folder / "binary.nii.gz"


def both(folder: Path, positions: np.ndarray, **more: object) -> dict[str, object]:
    path = points(folder / "some.csv", positions)
    return {"fixedPoints": path, "movingPoints": path, **more}


def two(folder: Path, fixed: np.ndarray, moving: np.ndarray, **more: object) -> dict[str, object]:
    paths = points(folder / "fixed.csv", fixed), points(folder / "moving.csv", moving)
    return {"fixedPoints": paths[0], "movingPoints": paths[1], **more}


RIGID, AFFINE, BENT = ({"affine": f"landmarks-{kind}"} for kind in ("rigid", "affine", "thin-plate"))
LINE, PLANE = PLACES[0] + np.outer(np.arange(4), [2.0, 1, 1]), PLACES[:3].repeat(2, axis=0)
#: Corners and two more, which lie the other way round in the moving image.
FINE = np.vstack(
    [GRID.voxel_to_world(np.array([[i, j, k] for i in (2, 15) for j in (2, 13) for k in (2, 11)])), PLACES[:2]]
)
EXCHANGED = [*range(8), 9, 8]
MIRRORED = PLACES * [-1, 1, 1] + [PLACES[:, 0].min() + PLACES[:, 0].max(), 0, 0]
CASES = {
    "different numbers": (
        lambda f: {"fixedPoints": f / "points.csv", "movingPoints": points(f / "few.csv", PLACES[:3])},
        "points.csv has 5 placed points and few.csv 3",
    ),
    "one list": (lambda f: {"fixedPoints": f / "points.csv"}, "fixed landmarks but no moving ones"),
    "the other list": (lambda f: {"movingPoints": f / "points.csv"}, "moving landmarks but no fixed ones"),
    "no points": (lambda f: both(f, np.empty((0, 3))), "have no placed points"),
    "two for a rigid start": (
        lambda f: both(f, PLACES[:2], **RIGID),
        "2 pairs of landmarks cannot determine the rigid",
    ),
    "three for an affine start": (lambda f: both(f, PLACES[:3], **AFFINE), "needs at least 4"),
    "on a line": (lambda f: both(f, LINE, **RIGID), "fixed landmarks lie on one line"),
    "on a plane": (lambda f: both(f, PLANE, **AFFINE), "fixed landmarks lie on one plane"),
    "in one place": (lambda f: both(f, PLACES[[0, 0, 0]], **RIGID), "fixed landmarks coincide"),
    "mirrored": (lambda f: two(f, PLACES, MIRRORED, **AFFINE), "would mirror"),
    "on a plane for a plate": (lambda f: both(f, PLANE, **BENT), "leaves the thin-plate start undetermined"),
    "one point twice": (lambda f: both(f, PLACES[[0, 1, 2, 3, 4, 4]], **BENT), "landmarks 5 and 6 lie at one place"),
    "exchanged": (lambda f: two(f, FINE, FINE[EXCHANGED], **BENT), "thin-plate start would fold"),
    "a plate as a matrix": (
        lambda f: both(f, PLACES, model="linear", **BENT, forward=f / "forward.lta"),
        ".lta cannot hold this transform (composite)",
    ),
    "outside": (lambda f: both(f, PLACES + [500, 0, 0]), "fixed landmark 1 at (499.0, "),
    "outside the moving volume": (
        lambda f: {"fixedPoints": f / "points.csv", "movingPoints": points(f / "far.csv", PLACES - [0, 0, 400])},
        "moving landmark 1 at",
    ),
    "start without landmarks": (lambda f: RIGID, "start landmarks-rigid needs landmarks"),
    "nothing to pull": (lambda f: both(f, PLACES, model="linear", affine="rigid"), "landmarks would not be used"),
    "a missing list": (lambda f: {"fixedPoints": f / "absent.csv", "movingPoints": f / "points.csv"}, "does not exist"),
    "a volume as a list": (lambda f: {"fixedPoints": f / "good.nii.gz", "movingPoints": f / "points.csv"}, ".mrk.json"),
    "words in a list": (lambda f: both_texts(f, "a,b,c\nd,e,f\n"), "holds no landmarks that can be read"),
    "an infinite coordinate": (lambda f: both_texts(f, "x,y,z\n1,inf,2\n"), "no finite number"),
    "too few columns": (lambda f: both_texts(f, "1,2\n"), "holds no landmarks that can be read"),
    "labels of other numbers": (
        lambda f: {"fixedLabels": f / "labels.nii.gz", "movingLabels": other_labels(f)},
        "(labels 2, 17, 53) and others.nii.gz (labels 99) have no label in common",
    ),
    "fixed labels alone": (lambda f: {"fixedLabels": f / "labels.nii.gz"}, "need --movingLabels"),
    "labels elsewhere": (
        lambda f: {"fixedLabels": far_labels(f), "movingLabels": f / "labels.nii.gz"},
        "fixed labels far.nii.gz",
    ),
    "labels with nothing to pull": (
        lambda f: {"fixedLabels": f / "labels.nii.gz", "movingLabels": f / "labels.nii.gz", "model": "linear"},
        "labels would not be used",
    ),
    "no time": (lambda f: {"budget": 0}, "budget_s is 0"),
    "an unknown preset": (lambda f: {"refine": "superb"}, "--refine"),
    "nothing to refine": (lambda f: {"model": "linear", "refine": "best"}, "bends nothing"),
    "a matrix to refine": (lambda f: {"model": "synthmorph-affine-2", "refine": "fast"}, "no deformation to refine"),
    "no optimisation": (lambda f: {"refine": "none"}, "leaves nothing of it"),
    "correlation of a binary image": (lambda f: {"moving": binary(f), "similarity": "ncc"}, "needs grey values"),
    "descriptors of a binary image": (lambda f: {"fixed": binary(f), "similarity": "mind"}, "needs grey values"),
    "an unknown similarity": (lambda f: {"similarity": "beauty"}, "--similarity"),
    "a negative weight": (lambda f: both(f, PLACES, landmarkWeight=-1), "landmark_weight is -1"),
}


def both_texts(folder: Path, text: str) -> dict[str, object]:
    (folder / "text.csv").write_text(text)
    return {"fixedPoints": folder / "text.csv", "movingPoints": folder / "text.csv"}


@pytest.mark.parametrize("kind", CASES)
def test_bad_landmarks_labels_and_choices_are_refused(folder: Path, capsys, kind: str) -> None:
    make, words = CASES[kind]
    assert words in refused(folder, capsys, **make(folder))


def markups(path: Path, positions: np.ndarray) -> Path:
    """A .mrk.json as Slicer writes it: LPS, with one point that was not placed."""
    placed = [
        {"id": str(n), "label": f"L-{n}", "position": list(p * [-1, -1, 1]), "positionStatus": "defined"}
        for n, p in enumerate(positions)
    ]
    waiting = {"id": "9", "label": "L-9", "position": [0.0, 0.0, 0.0], "positionStatus": "undefined"}
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": [*placed, waiting]}
    path.write_text(json.dumps({"markups": [markup]}))
    return path


@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_landmarks_start_a_registration(folder: Path, kind: str) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((1, 2, 3), 20) @ np.diag([1, 1, 1] if kind == "rigid" else [1.1, 0.9, 1.0])
    centre = PLACES.mean(axis=0)
    matrix[:3, 3] = centre + [1, -2, 1] - matrix[:3, :3] @ centre
    moving = PLACES @ matrix[:3, :3].T + matrix[:3, 3]
    files = {
        "fixedPoints": markups(folder / "f.mrk.json", PLACES),
        "movingPoints": markups(folder / "m.mrk.json", moving),
    }
    images = {"fixed": folder / "good.nii.gz", "moving": folder / "other.nii.gz", "forward": folder / "forward.h5"}
    arguments = {**images, **files, "model": "linear", "affine": f"landmarks-{kind}"}
    assert main([part for name, value in arguments.items() for part in (f"--{name}", str(value))]) == 0
    np.testing.assert_allclose(read_transform(folder / "forward.h5").as_matrix(), matrix, atol=1e-5)


@pytest.mark.parametrize(("model", "within_mm"), [("linear", 0.15), ("optimise", 1.0)])
def test_a_thin_plate_start_brings_all_landmarks_together(folder: Path, model: str, within_mm: float) -> None:
    moving = PLACES + np.array([[2.0, 0, 0], [0, 2, 0], [0, 0, -2], [1, 0, 2], [0, -2, 0]])
    files = two(folder, PLACES, moving)
    images = {"fixed": folder / "good.nii.gz", "moving": folder / "good.nii.gz"}
    written = {"forward": folder / "forward.h5", "inverse": folder / "inverse.h5"}
    arguments = {**images, **files, **written, "model": model, "affine": "landmarks-thin-plate"}
    assert main([part for name, value in arguments.items() for part in (f"--{name}", str(value))]) == 0
    forward, inverse = (read_transform(folder / f"{name}.h5") for name in written)
    np.testing.assert_allclose(forward.apply_to_points(PLACES), moving, atol=within_mm)
    np.testing.assert_allclose(inverse.apply_to_points(forward.apply_to_points(PLACES)), PLACES, atol=0.5)


def test_landmarks_and_labels_pull_in_the_command(folder: Path, capsys) -> None:
    moving = PLACES + [3.0, 0, 0]
    arguments = {
        "fixed": folder / "good.nii.gz",
        "moving": folder / "good.nii.gz",
        "fixedPoints": points(folder / "f.csv", PLACES),
        "movingPoints": points(folder / "m.csv", moving[::-1]),
        "landmarkWeight": 10,
        "fixedLabels": folder / "labels.nii.gz",
        "movingLabels": folder / "labels.nii.gz",
        "labelWeight": 0,
        "affine": "none",
        "forward": folder / "forward.h5",
        "report": folder / "report.html",
    }
    text = (folder / "m.csv").read_text().splitlines()
    names = [f"p{len(PLACES) - 1 - n}" for n in range(len(PLACES))]  # another order, the same labels
    (folder / "m.csv").write_text("\n".join([text[0], *(n + row[2:] for n, row in zip(names, text[1:]))]))
    assert main([part for name, value in arguments.items() for part in (f"--{name}", str(value))]) == 0
    errors = np.linalg.norm(read_transform(folder / "forward.h5").apply_to_points(PLACES) - moving, axis=1)
    assert errors.mean() < 1.5
    assert f"5 pairs of landmarks: 3.00 mm apart before, {errors.mean():.2f} mm after" in capsys.readouterr().out
    page = (folder / "report.html").read_text()
    assert "Landmark error, mean of 5 pairs" in page and "5 pairs of landmarks, weight 10" in page
    assert "Overlap of labels" in page and "Dice of fixed labels moved by the inverse" in page
