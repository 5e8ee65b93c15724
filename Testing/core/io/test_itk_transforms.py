"""ITK transform files: the same points as SimpleITK, whatever the kind, order and direction."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import CENTRE, a_geometry, a_smooth_field, rotation
from VoxelMorphLib.core.errors import GeometryError, OutputError
from VoxelMorphLib.core.io.itk_transforms import to_itk
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField, Transform

FORMATS = (".h5", ".tfm", ".txt")


def an_affine(angle_deg: float = 12) -> AffineTransform:
    """A rotation and scaling about the middle of the test volumes, and a small shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((3, 1, 2), angle_deg) * 1.07
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + (0.3, -0.2, 0.5)
    return AffineTransform(matrix)


def a_field(name: str = "left-handed oblique") -> DisplacementField:
    return DisplacementField(a_smooth_field(a_geometry(name)), a_geometry(name))


def some_points() -> np.ndarray:
    return CENTRE + np.random.default_rng(0).uniform(-4, 4, (50, 3))


def mapped_by_itk(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """RAS points through an ITK transform."""
    lps = points * (-1, -1, 1)
    return np.array([transform.TransformPoint(point) for point in lps.tolist()]) * (-1, -1, 1)


def difference(a: Transform, b: Transform) -> float:
    return float(np.abs(a.apply_to_points(some_points()) - b.apply_to_points(some_points())).max())


def test_a_matrix_maps_points_as_in_itk():
    points = some_points()
    assert np.abs(mapped_by_itk(to_itk(an_affine()), points) - an_affine().apply_to_points(points)).max() < 1e-9


def test_a_field_maps_points_as_in_itk(any_geometry):
    points = any_geometry.voxel_to_world(np.random.default_rng(2).uniform(0.2, 8.8, (200, 3)))
    field = DisplacementField(a_smooth_field(any_geometry), any_geometry)
    assert np.abs(mapped_by_itk(to_itk(field), points) - field.apply_to_points(points)).max() < 1e-9


def test_a_float32_field_maps_points_as_in_itk(any_geometry):
    points = any_geometry.voxel_to_world(np.random.default_rng(2).uniform(0.2, 8.8, (200, 3)))
    field = DisplacementField(a_smooth_field(any_geometry).astype(np.float32), any_geometry)
    assert np.abs(mapped_by_itk(to_itk(field), points) - field.apply_to_points(points)).max() < 1e-5


def test_a_composite_maps_points_as_in_itk(any_geometry):
    points = CENTRE + np.random.default_rng(3).uniform(-2, 2, (100, 3))
    field = DisplacementField(a_smooth_field(any_geometry), any_geometry)
    for composite in (
        field.compose(an_affine()),
        an_affine().compose(field),
        field.compose(an_affine()).compose(field),
    ):
        assert np.abs(mapped_by_itk(to_itk(composite), points) - composite.apply_to_points(points)).max() < 1e-9


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("make", [an_affine, a_field, lambda: a_field().compose(an_affine())])
def test_files_give_the_same_map_back(tmp_path, extension, make):
    transform = make()
    path = write_transform(transform, tmp_path / f"x{extension}")
    again = read_transform(path)
    assert type(again) is type(transform)
    assert difference(again, transform) < 1e-9
    by_itk = mapped_by_itk(sitk.ReadTransform(str(path)), some_points())
    assert np.abs(by_itk - transform.apply_to_points(some_points())).max() < 1e-9
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_field_comes_back_on_its_grid(tmp_path, any_geometry):
    field = DisplacementField(a_smooth_field(any_geometry), any_geometry)
    again = read_transform(write_transform(field, tmp_path / "x.h5"))
    assert again.geometry.matches(any_geometry, 1e-9)
    assert np.abs(again.array - field.array).max() < 1e-12


def test_the_last_part_that_itk_adds_acts_first(tmp_path):
    composite = sitk.CompositeTransform(3)
    composite.AddTransform(to_itk(an_affine()))
    composite.AddTransform(to_itk(a_field()))
    sitk.WriteTransform(composite, str(tmp_path / "x.h5"))
    again = read_transform(tmp_path / "x.h5")
    assert [type(part) for part in again.transforms] == [DisplacementField, AffineTransform]


def test_a_composite_of_one_part_is_that_part(tmp_path):
    sitk.WriteTransform(sitk.CompositeTransform([to_itk(an_affine())]), str(tmp_path / "x.h5"))
    assert np.allclose(read_transform(tmp_path / "x.h5").matrix, an_affine().matrix)


@pytest.mark.parametrize(
    "linear",
    [
        sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, 0.3, (4, 5, 6)),
        sitk.VersorRigid3DTransform((0, 0, 1), 0.3, (4, 5, 6), (1, 2, 3)),
        sitk.Similarity3DTransform(1.2, (0, 1, 0), 0.3, (4, 5, 6), (1, 2, 3)),
        sitk.ScaleTransform(3, (1.1, 1.2, 0.9)),
        sitk.TranslationTransform(3, (1, 2, 3)),
        sitk.AffineTransform([1.1, 0.1, 0, 0, 0.9, 0.2, 0, 0, 1], [1, 2, 3], [40, 50, 60]),
        sitk.Transform(3, sitk.sitkIdentity),
    ],
    ids=lambda transform: transform.GetName(),
)
@pytest.mark.parametrize("extension", [".tfm", ".h5", ".mat"])
def test_every_linear_transform_becomes_a_matrix(tmp_path, linear, extension):
    if extension == ".mat" and linear.GetName() == "IdentityTransform":
        pytest.skip("ITK cannot write it")
    sitk.WriteTransform(linear, str(tmp_path / f"x{extension}"))
    ours = read_transform(tmp_path / f"x{extension}")
    assert isinstance(ours, AffineTransform)
    assert np.abs(ours.apply_to_points(some_points()) - mapped_by_itk(linear, some_points())).max() < 1e-9


def test_a_flat_transform_is_refused(tmp_path):
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "x.tfm"))
    with pytest.raises(GeometryError, match=r"holds a 2-D transform. Choose a 3-D one"):
        read_transform(tmp_path / "x.tfm")


def test_a_matrix_without_inverse_names_the_file(tmp_path):
    sitk.WriteTransform(sitk.ScaleTransform(3, (1, 0, 1)), str(tmp_path / "x.tfm"))
    with pytest.raises(GeometryError, match=r"x.tfm: The affine transform cannot be inverted"):
        read_transform(tmp_path / "x.tfm")


def test_a_field_of_the_opposite_direction_is_refused(tmp_path):
    path = write_transform(a_field(), tmp_path / "x.tfm")
    path.write_bytes(path.read_bytes().replace(b"DisplacementFieldTransform", b"InverseDisplacementFieldTransform"))
    with pytest.raises(GeometryError, match=r"opposite direction .to parent.. In Slicer's Transforms module convert"):
        read_transform(path)


@pytest.mark.parametrize("extension", [".h5", ".tfm", ".mat"])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"hello", "not an"),
        (b"hello\n" * 100, "not an"),
        (bytes(4000), "not an"),
        (None, "does not exist"),
    ],
)
def test_what_is_no_transform_file(tmp_path, capfd, extension, content, text):
    path = tmp_path / f"x{extension}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GeometryError, match=text):
        read_transform(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.1])
def test_truncated_files(tmp_path, capfd, kept):
    for extension, text in ((".h5", r"truncated: \d+ of \d+ bytes"), (".tfm", "damaged")):
        path = write_transform(a_field(), tmp_path / f"x{extension}")
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
        with pytest.raises(GeometryError, match=text):
            read_transform(path)
    assert capfd.readouterr() == ("", "")


def test_a_failure_of_itk_is_one_sentence(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError("ITK ERROR")

    monkeypatch.setattr(sitk, "WriteTransform", fail)
    with pytest.raises(OutputError, match=r"x.tfm could not be written. Check the free space"):
        write_transform(an_affine(), tmp_path / "x.tfm")
    assert list(tmp_path.iterdir()) == []


def test_writing_does_not_empty_the_field(tmp_path):
    field = a_field()
    before = field.array.copy()
    write_transform(field, tmp_path / "x.tfm")
    assert (field.array == before).all()
