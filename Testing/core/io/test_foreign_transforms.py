"""Transforms that other programs write: read as ITK maps their points, or named for what they are."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import CENTRE, a_blob_image, a_geometry, rotation
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.itk import itk_image
from VoxelMorphLib.core.io.transforms import read_transform
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.registration.request import RegistrationRequest

GRID = a_geometry("left-handed oblique")
MATRIX = "1.1 0.1 0 0 0.9 0.2 0 0 1"


def by_itk(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """RAS points through an ITK transform."""
    lps = points * (-1, -1, 1)
    return np.array([transform.TransformPoint(point) for point in lps.tolist()]) * (-1, -1, 1)


def distance(transform, itk: sitk.Transform, points: np.ndarray) -> float:
    return float(np.abs(transform.apply_to_points(points) - by_itk(itk, points)).max())


def voxels() -> np.ndarray:
    index = np.stack(np.meshgrid(*[range(n) for n in GRID.shape], indexing="ij"), -1).reshape(-1, 3)
    return GRID.voxel_to_world(index[::7])


def a_spline(order: int = 3) -> sitk.BSplineTransform:
    image = itk_image(np.zeros(GRID.shape, np.float32), GRID)
    spline = sitk.BSplineTransformInitializer(image, (3, 4, 2), order)
    spline.SetParameters(np.random.default_rng(0).uniform(-1, 1, len(spline.GetParameters())).tolist())
    return spline


def an_affine() -> sitk.AffineTransform:
    return sitk.AffineTransform(rotation((3, 1, 2), 12).ravel().tolist(), [1, 2, 3], (CENTRE * (-1, -1, 1)).tolist())


def offset_bases(path, *others: sitk.Transform):
    """An ITK text file of a transform named as c3d and greedy do, and of others that ITK applies before it."""
    sitk.WriteTransform(sitk.CompositeTransform([an_affine(), *others]) if others else an_affine(), str(path))
    path.write_text(path.read_text().replace("AffineTransform_double", "MatrixOffsetTransformBase_double"))
    return path


class TestFilesOfItk:
    """Kinds that ITK applies, but SimpleITK does not name or we do not keep."""

    def test_a_matrix_with_offset(self, tmp_path):
        ours = read_transform(offset_bases(tmp_path / "x.txt"))
        assert isinstance(ours, AffineTransform)
        assert distance(ours, an_affine(), voxels()) < 1e-9

    @pytest.mark.parametrize("extension", [".tfm", ".txt", ".h5"])
    def test_a_spline_is_sampled_on_the_fixed_grid(self, tmp_path, extension):
        sitk.WriteTransform(a_spline(), str(tmp_path / f"x{extension}"))
        ours = read_transform(tmp_path / f"x{extension}", GRID)
        assert isinstance(ours, DisplacementField)
        assert np.abs(ours.array).max() > 0.2
        assert distance(ours, a_spline(), voxels()) < 1e-5

    @pytest.mark.parametrize("extension", [".tfm", ".h5"])
    def test_a_spline_after_a_matrix_is_sampled_with_it(self, tmp_path, extension):
        both = sitk.CompositeTransform([a_spline(), an_affine()])
        sitk.WriteTransform(both, str(tmp_path / f"x{extension}"))
        assert distance(read_transform(tmp_path / f"x{extension}", GRID), both, voxels()) < 1e-5

    def test_a_matrix_with_offset_beside_a_spline(self, tmp_path):
        both = sitk.CompositeTransform([an_affine(), a_spline()])
        assert distance(read_transform(offset_bases(tmp_path / "x.txt", a_spline()), GRID), both, voxels()) < 1e-5

    @pytest.mark.parametrize("extension", [".tfm", ".h5"])
    def test_a_spline_alone_is_refused_by_name(self, tmp_path, extension):
        sitk.WriteTransform(a_spline(), str(tmp_path / f"x{extension}"))
        with pytest.raises(GeometryError, match=r"holds a BSplineTransform, .* Give the fixed volume with it, or"):
            read_transform(tmp_path / f"x{extension}")

    def test_a_spline_of_another_place_is_refused(self, tmp_path):
        spline = a_spline()
        sitk.WriteTransform(spline, str(tmp_path / "x.tfm"))
        far = GRID.shifted((500, 0, 0), GRID.shape)
        with pytest.raises(GeometryError, match="moves nothing in the fixed volume"):
            read_transform(tmp_path / "x.tfm", far)

    def test_a_registration_samples_it_on_its_fixed_volume(self, tmp_path):
        volume = write_image(a_blob_image(GRID), tmp_path / "f.nii.gz")
        sitk.WriteTransform(a_spline(), str(tmp_path / "x.tfm"))
        request = RegistrationRequest.read(fixed=volume, moving=volume, initial=tmp_path / "x.tfm")
        assert request.initial.geometry.matches(request.fixed.geometry, 1e-9)

    def test_an_unknown_kind_is_named(self, tmp_path):
        (tmp_path / "x.tfm").write_text(
            "#Insight Transform File V1.0\n#Transform 0\nTransform: ThinPlateSplineKernelTransform_double_3_3\n"
            "Parameters: 1 2 3\nFixedParameters: 0 0 0\n"
        )
        with pytest.raises(GeometryError, match="holds a ThinPlateSplineKernelTransform, which this ITK does not know"):
            read_transform(tmp_path / "x.tfm")


def an_elastix_file(folder, kind: str, parameters: str, *lines: str):
    count = len(parameters.split())
    text = f'(Transform "{kind}")\n(NumberOfParameters {count})\n(TransformParameters {parameters})\n'
    (folder / "TransformParameters.0.txt").write_text("// written by a test\n" + text + "\n".join(lines) + "\n")
    return folder / "TransformParameters.0.txt"


CENTRE_LINE = "(CenterOfRotationPoint 40 50 60)"
SIMILARITY = sitk.Similarity3DTransform(1.2, (0, 1, 0), 0.3, (4, 5, 6), (40, 50, 60))
ZYX = sitk.Euler3DTransform((40, 50, 60), 0.1, 0.2, 0.3, (1, 2, 3))
ZYX.SetComputeZYX(True)


class TestElastix:
    """Linear transforms are read; everything else is named."""

    @pytest.mark.parametrize(
        ("kind", "parameters", "lines", "same"),
        [
            ("TranslationTransform", "1 2 3", (), sitk.TranslationTransform(3, (1, 2, 3))),
            (
                "EulerTransform",
                "0.1 0.2 0.3 1 2 3",
                (CENTRE_LINE, '(ComputeZYX "false")', '(InitialTransformParametersFileName "NoInitialTransform")'),
                sitk.Euler3DTransform((40, 50, 60), 0.1, 0.2, 0.3, (1, 2, 3)),
            ),
            ("EulerTransform", "0.1 0.2 0.3 1 2 3", (CENTRE_LINE, '(ComputeZYX "true")'), ZYX),
            (
                "AffineTransform",
                MATRIX + " 1 2 3",
                (CENTRE_LINE,),
                sitk.AffineTransform([float(n) for n in MATRIX.split()], [1, 2, 3], [40, 50, 60]),
            ),
            ("SimilarityTransform", " ".join(map(str, SIMILARITY.GetParameters())), (CENTRE_LINE,), SIMILARITY),
        ],
        ids=["translation", "euler", "euler zyx", "affine", "similarity"],
    )
    def test_linear_transforms_map_as_in_itk(self, tmp_path, kind, parameters, lines, same):
        ours = read_transform(an_elastix_file(tmp_path, kind, parameters, *lines))
        assert isinstance(ours, AffineTransform)
        assert distance(ours, same, voxels()) < 1e-9

    @pytest.mark.parametrize(
        ("kind", "parameters", "lines", "words"),
        [
            (
                "SplineKernelTransform",
                "1 2 3",
                (),
                "a SplineKernelTransform, which is not read. Convert it .* `transformix",
            ),
            ("BSplineTransform", "1 2 3", (), "its grid .* is incomplete, or it has no 3 TransformParameters"),
            ("BSplineTransform", "1 2 3", ('(UseCyclicTransform "true")',), "that is cyclic or of the order 3"),
            (
                "EulerTransform",
                "0 0 0 0 0 0",
                (CENTRE_LINE, '(InitialTransformParametersFileName "elsewhere/a.txt")'),
                "continues elsewhere/a.txt, and no file a.txt lies beside it",
            ),
            (
                "EulerTransform",
                "0 0 0 0 0 0",
                (CENTRE_LINE, '(InitialTransformParameterFileName "TransformParameters.0.txt")'),
                "continues more than 20 other files",
            ),
            (
                "EulerTransform",
                "0 0 0 0 0 0",
                (CENTRE_LINE, '(InitialTransformParameterFileName "a")', '(HowToCombineTransforms "Add")'),
                "is added to the transform a instead of following it",
            ),
            ("EulerTransform", "0 0 0", (CENTRE_LINE,), "no 6 numbers as TransformParameters"),
            ("EulerTransform", "0 0 0 0 0 nan", (CENTRE_LINE,), "no 6 numbers as TransformParameters"),
            ("EulerTransform", "0 0 0 0 0 0", (), "no 3 as CenterOfRotationPoint"),
            ("EulerTransform", "0 1 2", ("(FixedImageDimension 2)",), "in 2 dimensions. Choose a 3-D one"),
            (
                "EulerTransform",
                "0 0 0 0 0 0",
                (CENTRE_LINE, '(UseDirectionCosines "false")'),
                "leaves out the directions of the images",
            ),
            ("AffineTransform", "0 " * 9 + "1 2 3", (CENTRE_LINE,), "affine transform cannot be inverted"),
        ],
    )
    def test_others_are_named(self, tmp_path, kind, parameters, lines, words):
        with pytest.raises(GeometryError, match=words) as caught:
            read_transform(an_elastix_file(tmp_path, kind, parameters, *lines))
        assert "TransformParameters.0.txt" in str(caught.value)
        assert "damaged" not in str(caught.value)

    @pytest.mark.parametrize("order", [1, 2, 3])
    def test_a_spline_behind_a_turn_maps_as_in_itk(self, tmp_path, order):
        """The parameters come before what they are of, as elastix 5 sorts its entries; paths are of elsewhere."""
        spline = a_spline(order)
        size, origin, spacing, direction = np.split(np.array(spline.GetFixedParameters()), [3, 6, 9])
        entries = {
            "BSplineTransformSplineOrder": [order],
            "GridDirection": direction.reshape(3, 3).T.ravel(),
            "GridIndex": [0, 0, 0],
            "GridOrigin": origin,
            "GridSize": size.astype(int),
            "GridSpacing": spacing,
            "NumberOfParameters": [len(spline.GetParameters())],
            "TransformParameters": np.array(spline.GetParameters()),
        }
        lines = [f"({name} {' '.join(map(repr, np.asarray(values).tolist()))})" for name, values in entries.items()]
        lines[6:6] = ['(InitialTransformParameterFileName "C:\\data\\out\\TransformParameters.0.txt")']
        path = tmp_path / "TransformParameters.1.txt"
        path.write_text("\r\n".join([*lines, '(Transform "BSplineTransform")', '(UseDirectionCosines "true")\r\n']))
        an_elastix_file(tmp_path, "EulerTransform", "0.1 0.2 0.3 1 2 3", CENTRE_LINE)
        turn = sitk.Euler3DTransform((40, 50, 60), 0.1, 0.2, 0.3, (1, 2, 3))
        whole = sitk.CompositeTransform([spline, turn])  # ITK applies the last one first
        ours = read_transform(path, GRID)
        assert isinstance(ours, DisplacementField) and distance(ours, whole, voxels()) < 1e-4
        assert distance(ours, turn, voxels()) > 0.3
