"""Maps are cut around the brain, contrasts change inside the head, and models are measured on pairs of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import read_image, read_label_map, write_image
from VoxelMorphLib.weights.load import load_network

from benchmarks import synth_brain
from benchmarks.peers.execute import Result
from benchmarks.peers.pairs import Pair


def a_head() -> LabelMap:
    """Scalp everywhere but at the border, a brain of two structures inside, voxels of 10 mm."""
    array = np.zeros((12, 14, 16), np.uint8)
    array[1:-1, 1:-1, 1:-1] = 205
    array[5:7, 6:9, 1:4], array[5:7, 6:9, 4:6] = 2, 41
    return LabelMap(array, Geometry.from_parts(array.shape, (10.0, 10.0, 10.0), np.eye(3), (-50.0, -60.0, -70.0)))


def test_maps_are_cut_around_the_brain_where_they_lie(tmp_path, monkeypatch, capsys):
    heads = tmp_path / "data" / "label_maps_head"
    heads.mkdir(parents=True)
    write_image(a_head(), heads / "head_01.nii.gz")
    monkeypatch.setenv("VXM_DATA", str(tmp_path / "data"))
    assert synth_brain.main(["maps", str(tmp_path / "maps")]) == 0
    assert "1 label maps" in capsys.readouterr().out
    cut = read_label_map(tmp_path / "maps" / "head_01.nii.gz")
    assert cut.array.shape == (6, 7, 8)  # two voxels on every side, of which the lower border leaves one
    assert (cut.array == 41).sum() == (a_head().array == 41).sum()
    np.testing.assert_allclose(cut.geometry.voxel_to_world((0, 0, 0)), a_head().geometry.voxel_to_world((3, 4, 0)))


def test_either_image_changes_its_contrast_and_the_outside_stays(tmp_path):
    array = np.zeros((4, 4, 4), np.float32)
    array[1:3, 1:3, 1:3] = np.linspace(20, 100, 8).reshape(2, 2, 2)
    file = write_image(Image(array, Geometry((4, 4, 4), np.eye(4))), tmp_path / "a.nii.gz")
    made = list(synth_brain.in_other_contrasts(Pair("oasis", "a-a", file, file), tmp_path / "made"))
    names = ["fixed inverted", "moving inverted", "fixed T2-like", "moving T2-like"]
    assert [pair.name for pair in made] == [f"a-a, {name}" for name in names]
    assert all(pair.multimodal for pair in made) and (made[2].moving, made[3].fixed) == (file, file)
    for pair in made[::2]:
        pair.prepare()
        found = read_image(pair.fixed).array
        assert not found[array == 0].any() and found[array > 0].min() > 0
    inverted = read_image(made[0].fixed).array
    assert np.corrcoef(inverted[array > 0], array[array > 0])[0, 1] == pytest.approx(-1, abs=1e-3)


def test_t2_shows_fluid_brightest_then_grey_and_white_matter():
    air, fluid, grey, white = synth_brain.t2_like(np.array([0, 0.1, 0.55, 0.9]))
    assert fluid > 2 * grey > 2 * white > air == 0


def test_a_pair_is_one_line():
    good = Result("", "oasis", "b-a", dice=0.7, back_dice=0.69, folded_percent=0, log_jacobian_std=0.3, cpu_s=2)
    expected = "oasis/b-a: Dice 0.700, back 0.690; folded 0.0000 %, std log J 0.300, 2.0 s of CPU"
    assert synth_brain.line(good) == expected
    assert synth_brain.line(Result("", "oasis", "b-a", failure="no luck")) == "oasis/b-a: no luck"


def test_the_bundled_weights_are_those_that_their_readme_tells_of():
    told = (Path(synth_brain.__file__).parent / "trainings" / "README.md").read_text(encoding="utf-8")
    network, entry = load_network("synth-brain")
    assert f"--voxelSize {entry.space.voxel_size / 2:g} --shape {_doubled(entry.space.shape)} " in told
    assert entry.affine_start == "affine" and entry.licence == "Apache-2.0"
    groups = [",".join(str(network.structures[n - 1][0]) for n in channel) for channel in network.channels]
    assert f'CHANNELS="{" ".join(groups)}"' in told


def _doubled(extents: tuple[int, ...]) -> str:
    return ",".join(str(2 * n) for n in extents)


def test_without_data_nothing_is_measured_or_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VXM_DATA", str(tmp_path))
    assert synth_brain.main(["evaluate", "linear"]) == 1
    assert synth_brain.main(["maps", str(tmp_path / "maps")]) == 1
    assert "VXM_DATA" in capsys.readouterr().err
