"""Pairs of single slices: whether they can be registered, and the map that lays one plane on the other."""

from __future__ import annotations

import numpy as np

from ..core.errors import ConfigError, GeometryError, ImageError
from ..core.geometry import Geometry
from ..core.image import Image
from ..core.transform import IDENTITY, AffineTransform, Transform
from ..weights.architectures import LINEAR, OPTIMISE
from ..weights.entry import ModelEntry

#: Planes that are turned farther against each other show different sections.
LARGEST_TILT_DEG = 45.0
#: Tilts and distances of less than this part of a voxel are rounding.
ROUNDING = 1e-4


def are_slices(fixed: Image, moving: Image) -> bool:
    """Whether both images have a single slice.

    Raises:
        ImageError: only one of them has.
    """
    flat = [image.geometry.flat_axis is not None for image in (fixed, moving)]
    if flat[0] == flat[1]:
        return flat[0]
    slice_, volume = (fixed, moving) if flat[0] else (moving, fixed)
    raise ImageError(
        f"{slice_.name} is a single slice ({_size(slice_)} voxels) and {volume.name} a volume ({_size(volume)}). "
        "Register two slices or two volumes; extract the slice that corresponds, e.g. with Crop Volume."
    )


def check_plane_model(entry: ModelEntry) -> None:
    """Refuse networks, which were made for volumes.

    Raises:
        ConfigError: the model is one.
    """
    if entry.architecture not in (LINEAR, OPTIMISE):
        raise ConfigError(
            f"The model {entry.id} is a network for volumes, and the images are single slices. Choose the model "
            "optimise or linear."
        )


def onto_plane(fixed: Geometry, moving: Geometry) -> AffineTransform:
    """The smallest motion that lays the fixed plane onto the moving one: about the fixed centre, and along the normal.

    Raises:
        GeometryError: the planes are turned too far against each other.
    """
    normal, other = _normal(fixed), _normal(moving)
    other = other if normal @ other >= 0 else -other
    tilt = float(np.degrees(np.arccos(min(normal @ other, 1.0))))
    if tilt > LARGEST_TILT_DEG:
        raise GeometryError(
            f"The planes of the two slices are turned by {tilt:.0f} degrees against each other. Give an initial "
            "transform that lays one on the other, or correct the orientation in the headers."
        )
    turn = _turn(normal, other)
    shift = other * (other @ (moving.centre - fixed.centre))
    size = max(float(fixed.spacing.max()), float(moving.spacing.max()))
    if np.abs((turn - np.eye(3)) @ (fixed.corners() - fixed.centre).T).max() < ROUNDING * size:
        turn = np.eye(3)
        if np.abs(shift).max() < ROUNDING * size:
            return IDENTITY
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = fixed.centre + shift - turn @ fixed.centre
    return AffineTransform(matrix)


def check_in_plane(fixed: Geometry, moving: Geometry, initial: Transform) -> None:
    """Refuse an initial transform that leads from the fixed plane out of the moving one.

    Raises:
        GeometryError: it does.
    """
    axis = moving.flat_axis
    assert axis is not None
    off = np.abs(moving.world_to_voxel(initial.apply_to_points(fixed.corners()))[:, axis]).max()
    if off > 0.5:
        raise GeometryError(
            f"The initial transform leads from the fixed slice to places up to {off * moving.spacing[axis]:.3g} mm "
            "beside the moving slice. Give one that lays the one plane on the other."
        )


def plane_note(fixed: Geometry, moving: Geometry) -> tuple[str, ...]:
    """That the slices lie apart in the patient, as a warning; nothing where they lie in one plane."""
    motion = onto_plane(fixed, moving)
    if motion is IDENTITY:
        return ()
    tilt = float(np.degrees(np.arccos(np.clip((np.trace(motion.matrix[:3, :3]) - 1) / 2, -1, 1))))
    distance = float(np.linalg.norm(motion.apply_to_points(fixed.centre) - fixed.centre))
    turned = f" and are turned by {tilt:.1f} degrees" if tilt >= 0.05 else ""
    return (f"The slices lie {distance:.3g} mm apart{turned}; they were laid on each other first.",)


def _normal(geometry: Geometry) -> np.ndarray:
    axis = geometry.flat_axis
    assert axis is not None
    return geometry.direction[:, axis]


def _turn(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(3, 3), the smallest rotation that brings one unit vector onto another, less than 90 degrees away."""
    axis = np.cross(one, other)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + one @ other)


def _size(image: Image) -> str:
    return " x ".join(map(str, image.array.shape))
