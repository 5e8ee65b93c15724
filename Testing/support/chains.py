"""Chains of transforms of every kind, and the same applied by SimpleITK."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813
from VoxelMorphLib.apply.chain import Chain, Link
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.itk import itk_image
from VoxelMorphLib.core.io.itk_transforms import to_itk
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField

from support.volumes import CENTRE, a_geometry, a_smooth_field, rotation

INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "cubic": sitk.sitkBSpline}


def an_affine(angle_deg: float = 8) -> AffineTransform:
    """A turn about the middle of all grids, a slight stretch and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((1, 1, 0), angle_deg) @ np.diag([1.05, 0.97, 1.0])
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + (1.0, -0.5, 0.7)
    return AffineTransform(matrix)


def a_field(name: str = "oblique", seed: int = 0, shape: tuple[int, int, int] = (30, 32, 28)) -> DisplacementField:
    """A smooth field on a grid larger than those of the images."""
    grid = a_geometry(name, shape, 2.0)
    return DisplacementField(a_smooth_field(grid, 1.5, seed), grid)


def chains() -> dict[str, tuple[Link, ...]]:
    """From the reference to the input; names are told in messages."""
    affine, field, other = an_affine(), a_field(), a_field("LAS", 3)
    return {
        "affine": (Link(affine),),
        "inverse affine": (Link(affine, True),),
        "field": (Link(field),),
        "inverse field": (Link(field, True),),
        "composite": (Link(CompositeTransform((field, affine))),),
        "inverse composite": (Link(CompositeTransform((field, affine)), True),),
        "four of them": (Link(affine), Link(field, True), Link(other), Link(affine, True)),
    }


def moved_by_itk(points: np.ndarray, links: tuple[Link, ...]) -> np.ndarray:
    """(P, 3) RAS mm of the reference to the input, each point by ITK alone, whose inverses are iterated here."""
    signs = np.array([-1.0, -1.0, 1.0])
    moved = np.asarray(points, float) * signs
    for link in links:
        whole = link.transform
        parts = whole.transforms if isinstance(whole, CompositeTransform) else (whole,)
        for part in reversed(parts) if link.is_inverted else parts:
            moved = _solved(to_itk(part), moved) if link.is_inverted else _mapped(to_itk(part), moved)
    return moved * signs


def _mapped(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in points.tolist()]).reshape(-1, 3)


def _solved(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    if transform.IsLinear():
        return _mapped(transform.GetInverse(), points)
    solution = points.copy()
    for _round in range(25):
        solution += points - _mapped(transform, solution)
    return solution


def resampled_by_itk(
    image: Image, links: tuple[Link, ...], geometry: Geometry, interpolation: str = "linear"
) -> np.ndarray:
    """(I, J, K), with the background 0."""
    points = geometry.points()
    moved = moved_by_itk(points.reshape(-1, 3), links).reshape(points.shape)
    transform = to_itk(DisplacementField(moved - points, geometry))
    grid, moving = itk_image(np.zeros(geometry.shape, np.uint8), geometry), itk_image(image.array, image.geometry)
    seen = sitk.Resample(moving, grid, transform, INTERPOLATORS[interpolation], 0.0, moving.GetPixelID())
    return sitk.GetArrayFromImage(seen).transpose()


def chain_called(name: str) -> Chain:
    """One of `chains`."""
    return Chain(chains()[name])
