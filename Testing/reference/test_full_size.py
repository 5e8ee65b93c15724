"""The published networks on brains of 160 x 192 x 224 voxels, compared with recordings of the original."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.conformance import ReferenceCase, cases
from support.imports import LIBRARY
from support.shared_data import REPOSITORY, reference_folder, weights_folder
from torch import Tensor
from VoxelMorphLib.networks.fields import RegistrationOutput
from VoxelMorphLib.weights.keras import network_from_keras

#: Largest and mean difference of fields (voxels) and of moved images, and the largest of a field's block means.
FIELD = (1e-3, 1e-5)
MOVED = (1e-3, 1e-6)
BLOCK_MEAN = 1e-4


def recorded_image(name: str) -> Tensor:
    with np.load(reference_folder() / "A_full_size" / "inputs.npz") as archive:
        values = archive[name]
    return torch.from_numpy(values.astype(np.float32) / np.float32(255))[None, None]


def arrays(output: RegistrationOutput) -> dict[str, Tensor]:
    """Our tensors under the recorded names."""
    return {
        "moved": output.moved,
        "flow": output.displacement,
        "warp": output.displacement,
        "flow_params": output.regularised,
        "flow_integrated": output.integrated,
        "preint_flow": output.velocity,
        "postint_flow": output.integrated,
    }


def recorded_names(case: ReferenceCase) -> list[str]:
    """The arrays of a case; its description lists statistics of other kinds beside them."""
    with np.load(case.archive) as archive:
        return [name for name in case.description["arrays"] if f"{name}/points" in archive.files]


def block_means(array: np.ndarray, block: int) -> np.ndarray:
    """(C, I, J, K) -> (C, I / block, J / block, K / block), in float64."""
    channels, i, j, k = array.shape
    blocks = array.reshape(channels, i // block, block, j // block, block, k // block, block)
    return blocks.mean(axis=(2, 4, 6), dtype=np.float64)


def differences(case: ReferenceCase, name: str, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|ours - recorded| at the recorded points and of the block means."""
    description = case.description["arrays"][name]
    with np.load(case.archive) as archive:
        points, recorded = archive["points"], archive[f"{name}/points"]
        means = archive[f"{name}/block_mean"]
    if len(recorded) < len(points):
        points = points[: len(recorded)] // 2  # recorded at half resolution
    ours = array[(slice(None), *points.T)].T
    ours_means = np.moveaxis(block_means(array, description["block"]), 0, -1)
    return np.abs(ours - recorded.reshape(ours.shape)), np.abs(ours_means - means.reshape(ours_means.shape))


def test_block_means_average_every_block():
    array = np.arange(2 * 4 * 4 * 4, dtype=np.float32).reshape(2, 4, 4, 4)
    assert np.array_equal(block_means(array, 2)[1, 1, 0, 1], array[1, 2:4, 0:2, 2:4].mean())


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("A_full_size"))
def test_a_published_network_gives_the_recorded_fields(case):
    weights = weights_folder() / case.description["weights_file"]
    if not weights.is_file():
        pytest.skip(f"{weights} is absent")
    network = network_from_keras(weights)
    names = case.description["inputs"]
    with torch.inference_mode():
        output = arrays(network(recorded_image(names["moving"]), recorded_image(names["fixed"])))
    recorded = recorded_names(case)
    missing = set(recorded) - set(output)
    assert not missing, f"no tensor of ours for {missing}"
    for name in recorded:
        at_points, of_means = differences(case, name, output[name][0].numpy())
        largest, mean = MOVED if name == "moved" else FIELD
        assert at_points.max() <= largest, f"{name}: largest difference {at_points.max():.3g}"
        assert at_points.mean() <= mean, f"{name}: mean difference {at_points.mean():.3g}"
        assert of_means.max() <= BLOCK_MEAN, f"{name}: largest difference of block means {of_means.max():.3g}"


MEASURE = """
import sys
import torch
from support.peak_memory import peak_bytes
from VoxelMorphLib.weights.keras import network_from_keras

pair = torch.rand(2, 1, 1, 160, 192, 224)
with torch.inference_mode():
    network_from_keras(sys.argv[1])(*pair)
print(peak_bytes())
"""


@pytest.mark.slow
def test_a_full_size_run_stays_below_its_memory_limit():
    """2.1 GB for the whole process, torch included."""
    weights = weights_folder() / "vxm_dense_brain_T1_3D_mse.h5"
    if not weights.is_file():
        pytest.skip(f"{weights} is absent")
    arguments = [sys.executable, "-c", MEASURE, str(weights)]
    library = os.pathsep.join((str(LIBRARY.parent), str(REPOSITORY / "Testing")))
    environment = {**os.environ, "PYTHONPATH": library}
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 2.1e9
