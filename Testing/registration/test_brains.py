"""Two real brains through the command line with the published network, and what others make of the result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from slicer_standin.headless import application, scene  # noqa: F401
from support.shared_data import REPOSITORY, data_folder, weights_folder
from VoxelMorphLib.cli.register import main
from VoxelMorphLib.core.io.images import read_image, read_label_map, write_image
from VoxelMorphLib.core.metrics import dice

pytestmark = pytest.mark.slow

MODEL = "vxm-dense-brain-T1-mse"
LABELS = [2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 28, 31]
LABELS += [41, 42, 43, 46, 47, 49, 50, 51, 52, 53, 54, 60, 63]
PEAK_RESIDENT_BYTES = 2.1e9


def arguments(folder: Path, **more: object) -> list[str]:
    brain = data_folder() / "brain"
    named = {
        "fixed": brain / "oasis_b_t1.nii.gz",
        "moving": brain / "oasis_a_t1.nii.gz",
        "movingLabels": brain / "oasis_a_aseg.nii.gz",
        "movedLabels": folder / "labels.nii.gz",
        **more,
    }
    return [part for name, value in named.items() for part in (f"--{name}", str(value))]


def mean_dice(labels: Path) -> float:
    fixed = read_label_map(data_folder() / "brain" / "oasis_b_aseg.nii.gz")
    return float(dice(read_label_map(labels).array, fixed.array, LABELS).mean())


@pytest.fixture(scope="module")
def the_published_result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels, forward and inverse of the published network, and the peak memory of the process."""
    folder = tmp_path_factory.mktemp("published")
    code = (
        "import pathlib, sys; from support.peak_memory import peak_bytes; from VoxelMorphLib.cli.register import main; "
        "code = main(sys.argv[2:]); pathlib.Path(sys.argv[1]).write_text(str(peak_bytes())); sys.exit(code)"
    )
    outputs = {"forward": folder / "forward.h5", "inverse": folder / "inverse.h5", "moved": folder / "moved.nii.gz"}
    argv = arguments(folder, model=MODEL, weightsDir=weights_folder(), **outputs)
    library = os.pathsep.join((str(REPOSITORY / "VoxelMorphSlicer"), str(REPOSITORY / "Testing")))
    environment = {**os.environ, "PYTHONPATH": library}
    subprocess.run([sys.executable, "-c", code, str(folder / "peak"), *argv], env=environment, timeout=900, check=True)
    return folder


def test_the_published_network_aligns_two_brains(the_published_result: Path) -> None:
    assert mean_dice(the_published_result / "labels.nii.gz") >= 0.70


def test_no_weights_are_needed(tmp_path: Path) -> None:
    """On voxels of 2 mm, where it takes a fifth of the time."""
    coarse = {}
    for role, which in (("fixed", "b"), ("moving", "a")):
        t1, labels = (
            sitk.ReadImage(str(data_folder() / "brain" / f"oasis_{which}_{k}.nii.gz")) for k in ("t1", "aseg")
        )
        averaged = sitk.BinShrink(sitk.Cast(t1, sitk.sitkFloat32), [2, 2, 2])
        coarse[role], coarse[f"{role}Labels"] = tmp_path / f"{role}.nii.gz", tmp_path / f"{role}_labels.nii.gz"
        sitk.WriteImage(averaged, str(coarse[role]))
        nearest = sitk.Resample(labels, averaged, sitk.Transform(), sitk.sitkNearestNeighbor)
        sitk.WriteImage(nearest, str(coarse[f"{role}Labels"]))
    known = read_label_map(coarse.pop("fixedLabels")).array
    assert main(arguments(tmp_path, refine="fast", **coarse)) == 0
    assert float(dice(read_label_map(tmp_path / "labels.nii.gz").array, known, LABELS).mean()) >= 0.70


def test_structures_align_two_brains_of_which_one_has_another_contrast(tmp_path: Path) -> None:
    """Dark where the other one is bright and brightest between, so that no line and no local correlation fits."""
    fixed = read_image(data_folder() / "brain" / "oasis_b_t1.nii.gz")
    bright = fixed.array / np.percentile(fixed.array[fixed.array > 0], 99)
    other = np.where(fixed.array > 0, np.interp(bright, [0, 0.3, 0.6, 0.95], [0.1, 0.15, 0.9, 0.5]), 0)
    write_image(fixed.with_array(other.astype(np.float32)), tmp_path / "other.nii.gz")
    assert main(arguments(tmp_path, fixed=tmp_path / "other.nii.gz", model="synth-brain", affine="none")) == 0
    assert mean_dice(tmp_path / "labels.nii.gz") >= 0.68


def test_itk_moves_the_labels_alike(the_published_result: Path) -> None:
    brain = data_folder() / "brain"
    forward = sitk.ReadTransform(str(the_published_result / "forward.h5"))
    fixed, moving = (sitk.ReadImage(str(brain / f"oasis_{which}_aseg.nii.gz")) for which in "ba")
    theirs = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, forward, sitk.sitkNearestNeighbor, 0))
    ours = sitk.GetArrayFromImage(sitk.ReadImage(str(the_published_result / "labels.nii.gz")))
    assert (ours == theirs).mean() >= 0.999


def test_slicer_moves_the_labels_alike(the_published_result: Path, application, scene) -> None:  # noqa: F811
    import slicer

    brain = data_folder() / "brain"
    volumes = application.logics["Volumes"]
    fixed, moving = (volumes.AddArchetypeVolume(str(brain / f"oasis_{w}_aseg.nii.gz"), w, 1) for w in "ba")
    transform = application.logics["Transforms"].AddTransform(str(the_published_result / "forward.h5"), scene)
    moving.SetAndObserveTransformNodeID(transform.GetID())
    moved = volumes.ResampleVolumeToReferenceVolume(moving, fixed)
    theirs = slicer.util.arrayFromVolume(moved)
    ours = slicer.util.arrayFromVolume(volumes.AddArchetypeVolume(str(the_published_result / "labels.nii.gz"), "o", 1))
    assert (ours == theirs).mean() >= 0.999


def test_a_full_size_run_stays_within_its_memory(the_published_result: Path) -> None:
    assert 3e8 < int((the_published_result / "peak").read_text()) < PEAK_RESIDENT_BYTES
