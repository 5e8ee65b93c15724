"""Two single slices are registered in their plane, wherever it lies; networks and mixed pairs are refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from support.volumes import rotation
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import ConfigError, GeometryError, ImageError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.metrics import overlap
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform
from VoxelMorphLib.registration.planes import onto_plane
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.report.figures import overview_figure
from VoxelMorphLib.report.views import make_views

SIZE = (48, 44)
FAST = RegistrationOptions(refine="fast", budget_s=30)
LINEAR = RegistrationOptions(affine="affine")
#: Storage of the slice: which array axis is the flat one.
FLAT_AXES = (0, 1, 2)


def motion(axis=(0, 0, 1), angle_deg=0.0, shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(axis, angle_deg), shift
    return matrix


OBLIQUE = motion((1, 2, 3), 35, (4, -8, 15))


def a_section(
    turn_deg: float = 0.0, shift: tuple[float, float] = (0, 0), flat: int = 2, thickness: float = 3.0, bend: float = 0.0
) -> tuple[Image, LabelMap]:
    """An ellipse with a dark part and texture, its contents moved inside the plane; and its two parts as labels."""
    grid = Geometry((*SIZE, 1), np.diag([1.0, 1.25, thickness, 1.0]))
    grid = grid.moved(motion(shift=-grid.centre))
    points = grid.points() - (*shift, 0)
    x, y = np.moveaxis(points @ rotation((0, 0, 1), turn_deg), -1, 0)[:2]
    x = x + bend * np.sin(y / 9)
    whole, part = np.hypot(x / 17, y / 21) < 1, np.hypot((x - 5) / 5, (y + 6) / 8) < 1
    texture = 0.15 * np.sin(x / 2.6 + 1) * np.cos(y / 3.6)
    values = gaussian_filter(np.where(part, 0.35, 1 + texture) * whole, (0.7, 0.7, 0)).astype(np.float32)
    labels = whole.astype(np.uint8) + part
    order = [(2, 0, 1), (0, 2, 1), (0, 1, 2)][flat]
    affine = grid.affine[:, [*order, 3]]
    geometry = Geometry(tuple(grid.shape[axis] for axis in order), affine)
    return Image(values.transpose(order), geometry, "section"), LabelMap(labels.transpose(order), geometry, "parts")


def placed(image: Image, matrix: np.ndarray) -> Image:
    return type(image)(image.array, image.geometry.moved(matrix), image.name)


def dice(fixed: LabelMap, moving: LabelMap, transform) -> float:
    return overlap(fixed.array, transform.resample(moving, fixed.geometry).array, (1, 2)).mean


def off_plane(fixed: Geometry, moving: Geometry, transform) -> float:
    """Voxels, largest distance of the mapped fixed plane from the moving one."""
    voxels = moving.world_to_voxel(transform.apply_to_points(fixed.points()))
    return float(np.abs(voxels[..., moving.flat_axis]).max())


@pytest.mark.parametrize("flat", FLAT_AXES)
def test_parts_meet_and_the_plane_is_kept(flat):
    (fixed, parts), (moving, moving_parts) = a_section(flat=flat), a_section(9, (4, -3), (flat + 1) % 3, 5.0, bend=2.5)
    fixed, parts, moving, moving_parts = (placed(each, OBLIQUE) for each in (fixed, parts, moving, moving_parts))
    result = register_pair(fixed, moving, options=FAST)
    before = dice(parts, moving_parts, IDENTITY)
    assert dice(parts, moving_parts, result.forward) > max(0.9, before + 0.1)
    assert dice(moving_parts, parts, result.inverse) > 0.9
    assert off_plane(fixed.geometry, moving.geometry, result.forward) < 1e-4
    assert result.moved.array.shape == fixed.array.shape and result.report.worse == ""
    assert result.report.similarity_after > result.report.similarity_before + 0.05


@pytest.mark.parametrize("turn_deg", [25, 160])
def test_turned_contents_are_found_in_the_plane(turn_deg):
    fixed, moving = a_section()[0], a_section(turn_deg, (5, 2))[0]
    report = register_pair(fixed, moving, "linear", LINEAR).report
    assert report.similarity_after > 0.99
    assert any("was turned by" in text for text in report.warnings) is (turn_deg > 40)


def test_mirrored_contents_are_told():
    fixed, moving = a_section()[0], a_section()[0]
    mirrored = moving.with_array(moving.array[::-1])
    assert any("looks mirrored" in text for text in register_pair(fixed, mirrored, "linear", LINEAR).report.warnings)
    assert not register_pair(fixed, a_section(7)[0], "linear", LINEAR).report.warnings


def test_the_start_inverts_when_the_slices_are_swapped():
    fixed, moving = a_section()[0], a_section(20, (3, 4))[0]
    there, back = (register_pair(*pair, "linear", LINEAR).forward for pair in ((fixed, moving), (moving, fixed)))
    np.testing.assert_allclose(there.matrix @ back.matrix, np.eye(4), atol=1e-9)


def test_slices_apart_are_laid_on_each_other():
    fixed, parts = a_section()
    moving, moving_parts = (placed(each, motion((1, 0, 0), 12, (0, 0, 9))) for each in a_section(8, (3, 0)))
    result = register_pair(fixed, moving, options=FAST)
    assert any("mm apart and are turned by 12.0 degrees" in text for text in result.report.warnings)
    assert dice(parts, moving_parts, result.forward) > 0.95
    assert off_plane(fixed.geometry, moving.geometry, result.forward) < 1e-4


@pytest.mark.parametrize("model", ["linear", "optimise"])
def test_a_slice_stays_on_itself(model):
    image = placed(a_section()[0], OBLIQUE)
    options = LINEAR if model == "linear" else FAST
    np.testing.assert_allclose(register_pair(image, image, model, options).moved.array, image.array, atol=1e-4)


def test_masks_and_an_initial_transform_are_followed():
    fixed, parts = a_section()
    moving, moving_parts = a_section(90, (0, 0))
    masks = {"fixed_mask": parts, "moving_mask": moving_parts}
    initial = AffineTransform(motion(angle_deg=84))
    found = register_pair(fixed, moving, options=replace(FAST, affine="rigid"), initial=initial, **masks)
    assert dice(parts, moving_parts, found.forward) > 0.95


def test_2d_grids_stay_2d():
    fixed, moving = a_section()[0], a_section(5)[0]
    grid = replace(fixed.geometry.moved(motion(shift=(0, 0, -fixed.geometry.origin[2]))), dimensions=2)
    assert register_pair(Image(fixed.array, grid), moving, "linear", LINEAR).moved.geometry.dimensions == 2


def test_what_is_no_pair_of_slices_is_refused():
    fixed, moving = a_section()[0], a_section()[0]
    volume = Image(np.random.default_rng(0).random((8, 8, 8)), Geometry((8, 8, 8), np.eye(4)), "head")
    for pair in ((fixed, volume), (volume, fixed)):
        with pytest.raises(ImageError, match=r"section is a single slice .* and head a volume .*Register two slices"):
            register_pair(*pair)
    with pytest.raises(ConfigError, match=r"hippocampus-T1 is a network for volumes.*optimise or linear"):
        register_pair(fixed, moving, "hippocampus-T1")
    with pytest.raises(GeometryError, match="turned by 80 degrees against each other"):
        register_pair(fixed, placed(moving, motion((1, 0, 0), 80)))
    with pytest.raises(GeometryError, match="initial transform leads from the fixed slice to places up to 20 mm"):
        register_pair(fixed, moving, initial=AffineTransform(motion(shift=(0, 0, 20))))


def test_planes_are_laid_by_the_smallest_motion():
    one, other = a_section()[0].geometry, a_section()[0].geometry
    assert onto_plane(one, other) is IDENTITY
    assert onto_plane(one, other.moved(motion(shift=(7, -3, 0)))) is IDENTITY  # inside the plane nothing is moved
    np.testing.assert_allclose(onto_plane(one, other.moved(motion(shift=(7, -3, 4)))).matrix, motion(shift=(0, 0, 4)))


def test_the_report_shows_the_slice_alone():
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    fixed, moving = a_section(flat=1)[0], a_section(flat=1)[0]
    views = make_views(fixed, moving, fixed, IDENTITY)
    assert [view.fixed.shape for view in views] == [(44, 48)]
    assert overview_figure(views).startswith(b"\x89PNG")
