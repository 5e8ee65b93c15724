"""Figures: readable PNG in true proportions, with folded voxels marked."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.errors import DependencyError
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.report.figures import (
    agreement_figure,
    deformation_figure,
    grid_step,
    images_figure,
    overview_figure,
    thumbnail,
)
from VoxelMorphLib.report.pictures import comparison_pictures
from VoxelMorphLib.report.views import make_views

pytest.importorskip("matplotlib", reason="figures need matplotlib")
GREEN = np.array([0x22, 0xDD, 0x55]) / 255
FIGURES = (overview_figure, images_figure, agreement_figure, deformation_figure)


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(png))[..., :3]


def has_green(png: bytes) -> bool:
    return bool((np.abs(pixels(png) - GREEN).max(axis=-1) < 0.01).any())


@pytest.mark.slow
@pytest.mark.parametrize("draw", FIGURES)
def test_figures_are_png_and_repeatable(draw, fixed, moving, a_registration):
    views = make_views(fixed, moving, a_registration.moved, a_registration.forward)
    png = draw(views)
    assert pixels(png).shape[1] > 1000
    assert png == draw(views)


@pytest.mark.slow
def test_a_known_truth_adds_a_column(fixed, moving, a_registration):
    forward = a_registration.forward
    without = make_views(fixed, moving, a_registration.moved, forward)
    knowing = make_views(fixed, moving, a_registration.moved, forward, truth=forward.inverse())
    ratios = [pixels(deformation_figure(views)).shape[1::-1] for views in (without, knowing)]
    assert ratios[0][0] / ratios[0][1] < ratios[1][0] / ratios[1][1]


@pytest.mark.slow
def test_folded_voxels_are_green_and_others_are_not(fixed):
    array = np.zeros((*fixed.geometry.shape, 3), np.float32)
    flat = DisplacementField(array, fixed.geometry)
    array = array.copy()
    middle = fixed.geometry.shape[0] // 2
    array[middle - 4 : middle + 4, ..., 0] = 30 * np.random.default_rng(0).random((8, *array.shape[1:3]))
    folded = DisplacementField(array, fixed.geometry)
    assert folded.folded_voxels() > 100
    assert has_green(deformation_figure(make_views(fixed, fixed, fixed, folded)))
    assert not has_green(deformation_figure(make_views(fixed, fixed, fixed, flat)))


@pytest.mark.slow
def test_thin_and_thick_voxels_give_the_same_picture_size():
    coarse = a_blob_image(a_geometry("RAS", (20, 20, 10), 2.0))
    coarse = type(coarse)(coarse.array, coarse.geometry.__class__((20, 20, 10), np.diag([2.0, 2.0, 4.0, 1.0])))
    fine = type(coarse)(np.repeat(coarse.array, 4, axis=2), a_geometry("RAS", (20, 20, 40), 1.0))
    fine = type(fine)(fine.array, fine.geometry.__class__((20, 20, 40), np.diag([2.0, 2.0, 1.0, 1.0])))
    identity = AffineTransform(np.eye(4))
    shapes = [pixels(images_figure(make_views(image, image, image, identity))).shape for image in (coarse, fine)]
    assert np.abs(np.subtract(*shapes)).max() <= 2


@pytest.mark.parametrize("draw", FIGURES)
def test_every_slice_has_its_directions(draw, fixed, moving, a_registration, monkeypatch):
    from matplotlib.axes import Axes

    written, write = [], Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda self, x, y, s, *rest, **more: (written.append(s), write(self, x, y, s, *rest, **more))[1]
    )
    views = make_views(fixed, moving, a_registration.moved, a_registration.forward)
    draw(views)
    for view in views:
        assert written.count(view.slice.letters[0]) >= 2 and written.count(view.slice.letters[2]) >= 2


def test_what_is_aligned_is_grey_in_the_overview(fixed):
    shifted = type(fixed)(np.roll(fixed.array, 4, axis=0), fixed.geometry)
    coloured = []
    for moved in (fixed, shifted):
        picture = pixels(overview_figure(make_views(fixed, shifted, moved, AffineTransform(np.eye(4)))))
        difference = np.abs(picture[..., 0] - picture[..., 1])
        half = len(difference) // 2
        coloured += [float(part.mean()) for part in (difference[:half], difference[half:])]
    assert coloured[0] > 10 * coloured[1]
    assert coloured[3] > 10 * coloured[1]


def test_what_is_unknown_is_left_out(monkeypatch, fixed, moving, a_registration):
    known = make_views(fixed, moving, a_registration.moved, a_registration.forward)
    result = make_views(fixed, None, a_registration.moved)
    assert pixels(overview_figure(result)).shape[0] < 0.6 * pixels(overview_figure(known)).shape[0]
    assert pixels(agreement_figure(result)).shape[1] > 500
    for draw in FIGURES:
        monkeypatch.setattr(f"VoxelMorphLib.report.pictures.figures.{draw.__name__}", lambda _views: b"PNG")
    titles = [[picture.title for picture in comparison_pictures(views)] for views in (known, result)]
    assert titles[0] == ["Before and after", "Images", "Agreement", "Deformation"]
    assert titles[1] == ["Over each other", "Images", "Agreement"]


def test_a_thumbnail_is_small_and_in_true_proportions(fixed, moving, a_registration):
    views = make_views(fixed, None, a_registration.moved)
    picture = pixels(thumbnail(views))
    assert picture.shape[0] == 96
    scale = 96 / max(view.slice.size[1] for view in views)
    assert picture.shape[1] == pytest.approx(scale * sum(view.slice.size[0] for view in views) + 4, abs=3)
    assert len(thumbnail(views)) < 40_000
    aligned = pixels(thumbnail(make_views(fixed, None, fixed)))
    assert np.abs(aligned[..., 0] - aligned[..., 1]).max() == 0 < np.abs(picture[..., 0] - picture[..., 1]).max()


def test_a_flat_region_of_the_jacobian_shows_the_fixed_image(fixed):
    """Where the volume is kept, the figure is the grey one beside it."""
    still = make_views(fixed, fixed, fixed, AffineTransform(np.eye(4)))
    picture = pixels(deformation_figure(still))
    third = picture.shape[1] // 3
    middle = picture[:, third + 40 : 2 * third - 20]
    shown = (np.ptp(middle, axis=-1) < 0.02) & (middle.max(axis=-1) > 0.2) & (middle.max(axis=-1) < 0.8)
    assert shown.mean() > 0.1


def test_figures_open_no_windows(fixed, moving, a_registration):
    images_figure(make_views(fixed, moving, a_registration.moved, a_registration.forward))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.mark.parametrize("extent", [0.3, 12, 40, 170, 230, 999])
def test_grid_steps_are_round_and_neither_dense_nor_sparse(extent):
    step = grid_step(extent)
    assert 15 <= extent / step <= 40
    assert f"{step:.0e}"[0] in "125"


def test_missing_matplotlib_is_named(monkeypatch, fixed, moving, a_registration):
    views = make_views(fixed, moving, a_registration.moved, a_registration.forward)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DependencyError, match=r"needs the package matplotlib, which is not installed\. Install it"):
        images_figure(views)
