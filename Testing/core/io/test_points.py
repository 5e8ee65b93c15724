"""Files of landmarks: every kind gives the same points in RAS, and damaged ones are named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from VoxelMorphLib.core.errors import ImageError
from VoxelMorphLib.core.io.points import read_landmark_pairs, read_points

RAS = np.array([[1.5, -2.25, 30.0], [-40.0, 5.5, 6.0]])
LPS = RAS * [-1, -1, 1]


def markups(positions: np.ndarray, system: str | None = "LPS", **point) -> str:
    placed = [{"label": f"F-{n}", "position": list(p), **point} for n, p in enumerate(positions, 1)]
    frame = {} if system is None else {"coordinateSystem": system}
    return json.dumps({"markups": [{"type": "Fiducial", **frame, "controlPoints": placed}]})


def fiducials(positions: np.ndarray, system: str) -> str:
    head = "# Markups fiducial file version = 5.6\n"
    head += (
        f"# CoordinateSystem = {system}\n# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    )
    rows = [f"{n},{x},{y},{z},0,0,0,1,1,1,0,F-{n},,\n" for n, (x, y, z) in enumerate(positions, 1)]
    return head + "".join(rows)


def rows(positions: np.ndarray, form: str, header: str = "") -> str:
    return header + "".join(form.format(n, *p) for n, p in enumerate(positions, 1))


FILES = {
    "lps.mrk.json": markups(LPS, positionStatus="defined"),
    "unnamed system.mrk.json": markups(LPS, None),
    "ras.json": markups(RAS, "RAS"),
    "lps.fcsv": fiducials(LPS, "LPS"),
    "ras.fcsv": fiducials(RAS, "RAS"),
    "ras of Slicer 4.fcsv": fiducials(RAS, "0"),
    "lps of Slicer 4.FCSV": fiducials(LPS, "1"),
    "named.csv": rows(RAS, "F-{},{},{},{}\n", "label,x,y,z\n"),
    "order.csv": rows(RAS, "{2},{1},{3},F-{0}\n", "y,x,z,label\n"),
    "four columns.csv": rows(RAS, "F-{},{},{},{}\n\n"),
    "marked.csv": "\ufeff" + rows(RAS, "F-{},{},{},{}\n", "Label,R,A,S\n"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_gives_the_same_points(tmp_path, name) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    points = read_points(tmp_path / name)
    np.testing.assert_allclose(points.positions, RAS)
    assert (points.labels, points.name) == (("F-1", "F-2"), name)


def test_a_table_needs_no_labels(tmp_path) -> None:
    (tmp_path / "plain.csv").write_text(rows(RAS, "{1},{2},{3}\n"))
    np.testing.assert_allclose(read_points(tmp_path / "plain.csv").positions, RAS)


def test_points_that_were_not_placed_are_left_out(tmp_path) -> None:
    (tmp_path / "waiting.mrk.json").write_text(markups(LPS, positionStatus="undefined"))
    assert read_points(tmp_path / "waiting.mrk.json").positions.shape == (0, 3)


def test_two_files_are_paired_by_label(tmp_path) -> None:
    (tmp_path / "f.mrk.json").write_text(markups(LPS))
    (tmp_path / "m.csv").write_text("label,x,y,z\nF-2,7,8,9\nF-1,1,2,3\n")
    pairs = read_landmark_pairs(tmp_path / "f.mrk.json", tmp_path / "m.csv")
    np.testing.assert_array_equal(pairs.moving, [[1, 2, 3], [7, 8, 9]])


BAD = {
    "text.mrk.json": ("no json", "holds no landmarks"),
    "other.json": ('{"a": 1}', "holds no landmarks"),
    "list.json": ("[1, 2]", "holds no landmarks"),
    "none.json": ('{"markups": []}', "holds no landmarks"),
    "deep.json": ("[" * 100000, "holds no landmarks"),
    "flat.json": (markups(LPS[:, :2]), "without three coordinates"),
    "words.json": (json.dumps({"markups": [{"controlPoints": [{"position": ["a", "b", "c"]}]}]}), "holds no landmarks"),
    "voxels.json": (markups(LPS, "IJK"), "neither RAS nor LPS"),
    "voxels.fcsv": (fiducials(LPS, "2"), "neither RAS nor LPS"),
    "short.fcsv": ("1,2,3\n", "holds no landmarks"),
    "words.csv": ("a,b,c\nd,e,f\n", "holds no landmarks"),
    "hole.csv": ("x,y,z\n1,,3\n", "holds no landmarks"),
    "nan.csv": ("x,y,z\n1,nan,3\n", "no finite number"),
    "empty.csv": ("", "is empty"),
    "points.txt": ("1 2 3\n", "landmarks are read from"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(tmp_path, name) -> None:
    text, words = BAD[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(ImageError, match=words) as caught:
        read_points(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("extension", ["mrk.json", "fcsv", "csv"])
def test_bytes_are_no_points(tmp_path, extension) -> None:
    path = tmp_path / f"bytes.{extension}"
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(ImageError, match="holds no landmarks"):
        read_points(path)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(ImageError, match=r"absent.csv does not exist"):
        read_points(tmp_path / "absent.csv")
