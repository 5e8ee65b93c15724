"""Networks that predict a matrix in the pipeline: known motions come back as affine maps, whatever the geometry."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from support.tiny_networks import filled
from support.volumes import CENTRE, GEOMETRIES, a_geometry, rotation, transformed
from torch import Tensor
from VoxelMorphLib.core.config import NetworkSpace, RegistrationOptions
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.networks.affine_detector import VxmAffineFeatureDetector
from VoxelMorphLib.networks.joint import HyperVxmJoint
from VoxelMorphLib.registration.cache import RegistrationCache
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.weights.catalogue import load_catalogue

SPACE = NetworkSpace(1.5, "LIA", (32, 32, 32), 8, "image", "minmax")
NO_START = RegistrationOptions(affine="none")


class BallDetector(VxmAffineFeatureDetector):
    """Features made by hand: the image in each of the six directions from the middle of the grid."""

    def __init__(self, **options) -> None:
        super().__init__(enc_nf=(2, 2), add_nf=(2,), num_feat=6, **options)

    def detect(self, image: Tensor) -> Tensor:
        axes = [torch.arange(n) - (n - 1) / 2 for n in image.shape[2:]]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        nearest = offsets.abs().argmax(0)
        sectors = [(nearest == axis) & (sign * offsets[axis] > 0) for axis in range(3) for sign in (-1, 1)]
        return image * torch.stack(sectors)


class Loaded:
    """Gives `register` a network without a file."""

    def __init__(self, network: torch.nn.Module, name: str) -> None:
        self.found = network.eval(), dataclasses.replace(load_catalogue()[name], space=SPACE, requires_affine=False)

    def load(self, *_arguments) -> tuple:
        return self.found


def loaded(network: torch.nn.Module, name: str) -> RegistrationCache:
    return RegistrationCache(Loaded(network, name))


def balls(points: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(...), six balls of 4 mm along `axes` (columns) from `CENTRE` at (..., 3) RAS mm."""
    rng = np.random.default_rng(2)
    places = CENTRE + np.array([14 * sign * axis for axis in axes.T for sign in (-1, 1)])
    places += rng.uniform(-2, 2, places.shape)
    distance = np.linalg.norm(points[..., None, :] - places, axis=-1)
    return (1 / (1 + np.exp(2 * (distance - 4)))).max(axis=-1)


def seen(geometry: Geometry, truth: AffineTransform, name: str = "RAS") -> Image:
    """The balls along the axes of the grid `name`, after they followed `truth`."""
    values = balls(truth.inverse().apply_to_points(geometry.points()), a_geometry(name).direction)
    return Image(100 * values, geometry, "balls")


def a_grid(name: str, spacing: float = 1.5) -> Geometry:
    kind = a_geometry(name)
    spacings = kind.spacing / kind.spacing.mean() * spacing
    shape = np.ceil(48 / spacings).astype(int)
    return Geometry.from_parts(
        tuple(shape), spacings, kind.direction, CENTRE - kind.direction @ (spacings * (shape - 1) / 2)
    )


def motion(scale: float = 1.0) -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((1, 1, -1), 7) @ np.diag([scale, 1, 1 / scale])
    matrix[:3, 3] = CENTRE + (2.0, -1.5, 1.0) - matrix[:3, :3] @ CENTRE
    return AffineTransform(matrix)


STILL = AffineTransform(np.eye(4))


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_rigid_motion_comes_back_as_an_affine_map(name):
    fixed, truth = seen(a_grid(name), STILL, name), motion()
    moving = seen(a_grid("oblique", 1.4), truth, name)
    network = BallDetector(rigid=True, half_res=False)
    result = register_pair(fixed, moving, "synthmorph-rigid-1", NO_START, cache=loaded(network, "synthmorph-rigid-1"))
    assert isinstance(result.forward, AffineTransform)
    assert isinstance(result.inverse, AffineTransform)
    points = fixed.geometry.points()[fixed.array > 20]
    error = np.linalg.norm(result.forward.apply_to_points(points) - truth.apply_to_points(points), axis=-1)
    assert error.max() < 0.3
    linear = result.forward.matrix[:3, :3]
    assert np.allclose(linear @ linear.T, np.eye(3), atol=1e-4)
    assert np.allclose(result.inverse.matrix @ result.forward.matrix, np.eye(4), atol=1e-9)
    assert result.report.folded_percent == 0
    assert result.report.similarity_after > result.report.similarity_before


def test_an_affine_motion_comes_back_through_a_start():
    fixed, truth = seen(a_grid("RAS"), STILL), motion(1.06)
    start = AffineTransform(np.array([[1, 0, 0, 1.5], [0, 1, 0, -1], [0, 0, 1, 0], [0, 0, 0, 1]]))
    moving = seen(a_grid("LPS"), truth)
    network = BallDetector(half_res=False)
    result = register_pair(
        fixed, moving, "synthmorph-affine-2", NO_START, cache=loaded(network, "synthmorph-affine-2"), initial=start
    )
    assert isinstance(result.forward, AffineTransform)
    points = fixed.geometry.points()[fixed.array > 20]
    error = np.linalg.norm(result.forward.apply_to_points(points) - truth.apply_to_points(points), axis=-1)
    assert error.max() < 0.4


def test_volumes_apart_are_centred_for_a_model_that_is_affine_itself():
    fixed, truth = seen(a_grid("RAS"), STILL), motion()
    away = np.eye(4)
    away[:3, 3] = (400, -300, 250)
    near = seen(a_grid("LPS"), truth)
    moving = Image(near.array, transformed(near.geometry, away), "far away")
    network = BallDetector(rigid=True, half_res=False)
    cache = loaded(network, "synthmorph-rigid-1")
    result = register_pair(fixed, moving, "synthmorph-rigid-1", cache=cache)
    assert result.report.affine == "centre"
    points = fixed.geometry.points()[fixed.array > 20]
    wanted = truth.compose(AffineTransform(away)).apply_to_points(points)
    assert np.linalg.norm(result.forward.apply_to_points(points) - wanted, axis=-1).max() < 0.5
    with pytest.raises(GeometryError, match="do not overlap in the patient"):
        register_pair(fixed, moving, "synthmorph-rigid-1", NO_START, cache=cache)


def test_a_file_is_centred_as_its_model_is(tmp_path):
    """Here the model is known only after it was read."""
    path = tmp_path / "mine.safetensors"
    path.touch()
    fixed = seen(a_grid("RAS"), STILL)
    away = np.eye(4)
    away[:3, 3] = 400
    moving = Image(fixed.array, transformed(fixed.geometry, away), "far away")
    cache = loaded(BallDetector(rigid=True, half_res=False), "synthmorph-rigid-1")
    assert register_pair(fixed, moving, path, cache=cache).report.affine == "centre"
    network, entry = cache.networks.found
    cache.networks.found = network, dataclasses.replace(entry, architecture="VxmDense")
    report = register_pair(fixed, moving, path, cache=cache).report
    assert any("do not overlap in the patient" in sentence for sentence in report.warnings)


@pytest.mark.parametrize("network", ["affine", "joint"])
def test_halfway_between_the_volumes_the_same_is_found(network):
    """Through a start: the images meet in the middle of it, on a grid that lies there."""
    fixed, truth = seen(a_grid("LAS"), STILL), motion(1.04)
    moving = seen(a_grid("RAS"), truth)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((0, 1, 1), 6), (4, -3, 2)
    start = AffineTransform(matrix)
    name = {"affine": "synthmorph-affine-2", "joint": "synthmorph-joint-3"}[network]
    made = BallDetector(half_res=False) if network == "affine" else a_still_joint()
    options = dataclasses.replace(NO_START, mid_space=True)
    result = register_pair(fixed, moving, name, options, cache=loaded(made, name), initial=start)
    points = fixed.geometry.points()[fixed.array > 20]
    error = np.linalg.norm(result.forward.apply_to_points(points) - truth.apply_to_points(points), axis=-1)
    assert error.mean() < 0.5
    back = np.linalg.norm(result.inverse.apply_to_points(result.forward.apply_to_points(points)) - points, axis=-1)
    assert back.max() < 0.1


def a_still_joint() -> HyperVxmJoint:
    """Its affine part finds balls, and its velocity is nearly 0."""
    options = {"enc_nf": (2, 2), "dec_nf": (2, 2), "add_nf": (2,), "hyp_units": (2,)}
    network = filled(HyperVxmJoint(mid_space=True, affine={"enc_nf": (2,), "add_nf": (2,), "num_feat": 6}, **options))
    network.affine = BallDetector(half_res=False, make_dense=False, bidir=True, return_trans_to_mid_space=True)
    return network


def test_a_start_without_a_half_is_told():
    fixed = seen(a_grid("RAS"), STILL)
    start = AffineTransform(np.diag([-1.0, 1, 1, 1]))
    cache = loaded(BallDetector(half_res=False), "synthmorph-affine-2")
    options = dataclasses.replace(NO_START, mid_space=True)
    moved = Image(fixed.array, Geometry(fixed.geometry.shape, start.matrix @ fixed.geometry.affine), "mirrored")
    with pytest.raises(GeometryError, match="has no real square root"):
        register_pair(fixed, moved, "synthmorph-affine-2", options, cache=cache, initial=start)


def test_the_squarings_of_a_call_leave_the_network_as_it_was():
    network = filled(HyperVxmJoint(skip_affine=True, enc_nf=(2,), dec_nf=(2,), add_nf=(2,), hyp_num=0), size=0.5)
    fixed, seen_steps = seen(a_grid("RAS"), STILL), []
    network.fields = lambda *pair: seen_steps.append(network.int_steps) or HyperVxmJoint.fields(network, *pair)
    cache = loaded(network, "synthmorph-deform-3")
    for steps in (5, 0):
        options = dataclasses.replace(NO_START, integration_steps=steps)
        register_pair(fixed, fixed, "synthmorph-deform-3", options, cache=cache)
    assert seen_steps == [5, 7] and network.int_steps == 7


def test_a_joint_network_gives_a_field():
    network = a_still_joint()
    fixed, truth = seen(a_grid("LAS"), STILL), motion()
    moving = seen(a_grid("RAS"), truth)
    result = register_pair(fixed, moving, "synthmorph-deform-3", NO_START, cache=loaded(network, "synthmorph-deform-3"))
    assert isinstance(result.forward, DisplacementField)
    points = fixed.geometry.points()[fixed.array > 20]
    error = np.linalg.norm(result.forward.apply_to_points(points) - truth.apply_to_points(points), axis=-1)
    assert error.mean() < 1.0
    assert result.report.inverse_residual_mm < 0.2


@pytest.mark.parametrize("model", ["synthmorph-affine-2", "own.h5"])
def test_a_matrix_is_not_refined(model):
    """Refused before the network works; one of the catalogue even before it is loaded."""
    volume, network = seen(a_grid("RAS"), STILL), BallDetector(half_res=False)
    options = dataclasses.replace(NO_START, refine="fast")
    with pytest.raises(ConfigError, match=r"synthmorph-affine-2 gives a matrix, which has no deformation to refine"):
        register_pair(volume, volume, model, options, cache=loaded(network, "synthmorph-affine-2"))
