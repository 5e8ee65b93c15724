"""Bad input of every kind: one sentence, exit code 2, and no file left behind."""

from __future__ import annotations

import errno
import gzip
import shutil
import struct
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.refusal import refused
from support.shared_data import weights_folder
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.cli.register import main
from VoxelMorphLib.core.io.images import read_image, write_image

GRID = a_geometry("RAS", (14, 12, 10), 2.0)


@pytest.fixture(scope="module")
def a_good_volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.nii.gz"
    write_image(a_blob_image(GRID), path)
    return path


@pytest.fixture
def folder(tmp_path: Path, a_good_volume: Path) -> Path:
    shutil.copy(a_good_volume, tmp_path / "good.nii.gz")
    return tmp_path


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, GRID.affine if affine is None else affine), path)
    return path


def patched(folder: Path, offset: int, data: bytes) -> Path:
    """good.nii with some header bytes overwritten."""
    raw = bytearray(gzip.decompress((folder / "good.nii.gz").read_bytes()))
    raw[offset : offset + len(data)] = data
    path = folder / "patched.nii"
    path.write_bytes(raw)
    return path


def values(folder: Path, change) -> Path:
    array = read_image(folder / "good.nii.gz").array.copy()
    return nifti(folder / "changed.nii.gz", np.asarray(change(array)))


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    array[3, 4, 5] = value
    return array


def a_sheared_nrrd(folder: Path) -> Path:
    header = "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 4 4\n"
    header += "space directions: (1,0,0) (0.4,1,0) (0,0,1)\nencoding: raw\nspace origin: (0,0,0)\n\n"
    return written(folder, "sheared.nrrd", header.encode() + bytes(range(64)))


def an_rgb_volume(folder: Path) -> Path:
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 255, (6, 7, 8, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(folder / "rgb.nrrd"))
    return folder / "rgb.nrrd"


VOLUMES = {
    "missing": (lambda f: f / "absent.nii.gz", "does not exist"),
    "folder": (lambda f: f, "is a folder"),
    "empty file": (lambda f: written(f, "empty.nii.gz", b""), "is empty"),
    "text": (lambda f: written(f, "text.nii.gz", b"these are words, not voxels\n" * 40), "is not a NIfTI file"),
    "truncated": (lambda f: written(f, "cut.nii.gz", (f / "good.nii.gz").read_bytes()[:600]), "cut.nii.gz"),
    "truncated uncompressed": (
        lambda f: written(f, "cut.nii", gzip.decompress((f / "good.nii.gz").read_bytes())[:-500]),
        "cut.nii",
    ),
    "picture": (lambda f: written(f, "picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100)), "picture.png"),
    "no extension": (lambda f: written(f, "volume", b"abc"), "volume"),
    "constant": (lambda f: values(f, np.zeros_like), "empty or constant"),
    "NaN": (lambda f: values(f, lambda a: with_value(a, np.nan)), "1 NaN or infinite"),
    "infinity": (lambda f: values(f, lambda a: with_value(a, -np.inf)), "1 NaN or infinite"),
    "two dimensions": (lambda f: values(f, lambda a: a[:, :, 0]), "changed.nii.gz is a single slice"),
    "four dimensions": (lambda f: values(f, lambda a: np.stack([a, a], -1)), "changed.nii.gz"),
    "one slice": (lambda f: values(f, lambda a: a[:, :, :1]), "changed.nii.gz is a single slice"),
    "one slice across": (lambda f: values(f, lambda a: a[:1]), "Register two slices or two volumes"),
    "one column": (lambda f: values(f, lambda a: a[:1, :1]), "only one axis has several voxels"),
    "complex": (lambda f: values(f, lambda a: a.astype(np.complex64)), "changed.nii.gz"),
    "colour": (an_rgb_volume, "rgb.nrrd"),
    "zero spacing": (lambda f: patched(f, 80, struct.pack("<f", 0.0)), "patched.nii"),
    "negative spacing": (lambda f: patched(f, 80, struct.pack("<f", -2.0)), "spacing"),
    "NaN spacing": (lambda f: patched(f, 80, struct.pack("<f", np.nan)), "patched.nii"),
    "terabytes announced": (lambda f: patched(f, 42, struct.pack("<3h", 30000, 30000, 30000)), "patched.nii"),
    "no dimensions": (lambda f: patched(f, 40, struct.pack("<h", 0)), "patched.nii"),
    "unknown voxel type": (lambda f: patched(f, 70, struct.pack("<h", 1234)), "patched.nii"),
    "sheared": (a_sheared_nrrd, "sheared"),
    "an archive without volumes": (lambda f: _npz(f, text=np.array("words")), "archive.npz"),
    "a pickle in an archive": (lambda f: _npz(f, vol=np.array([{"a": 1}], object)), "archive.npz"),
}


def _npz(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "archive.npz", **arrays)
    return folder / "archive.npz"


@pytest.mark.parametrize("role", ["fixed", "moving"])
@pytest.mark.parametrize("kind", VOLUMES)
def test_a_bad_volume_is_named(folder: Path, capsys: pytest.CaptureFixture[str], kind: str, role: str) -> None:
    make, words = VOLUMES[kind]
    assert words in refused(folder, capsys, **{role: make(folder)})


def _marking(folder: Path, value: int, shift_mm: float = 0) -> Path:
    affine = GRID.affine.copy()
    affine[:3, 3] += shift_mm
    return nifti(folder / "mask.nii.gz", np.full(GRID.shape, value, np.uint8), affine)


MASKS = {
    "missing": (lambda f: f / "absent.nii.gz", "does not exist"),
    "empty": (lambda f: _marking(f, 0), "mask.nii.gz is empty. Draw what shall be looked at"),
    "elsewhere": (lambda f: _marking(f, 1, 1000), "covers no voxel of the"),
    "no labels": (lambda f: values(f, lambda a: a + 0.25), "is not a label map"),
}


@pytest.mark.parametrize("role", ["fixed", "moving"])
@pytest.mark.parametrize("kind", MASKS)
def test_a_bad_mask_is_named(folder: Path, capsys: pytest.CaptureFixture[str], kind: str, role: str) -> None:
    make, words = MASKS[kind]
    assert words in refused(folder, capsys, **{f"{role}Mask": make(folder)})


def test_volumes_that_do_not_overlap(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    far = GRID.affine.copy()
    far[:3, 3] += 1000
    moving = nifti(folder / "far.nii.gz", read_image(folder / "good.nii.gz").array, far)
    assert "do not overlap" in refused(folder, capsys, moving=moving, affine="none")


OPTIONS = {
    "unknown model": ({"model": "vxm-dense-brain-T1-msa"}, "vxm-dense-brain-T1-mse"),
    "model out of reach": ({"model": "synthmorph-deform-3"}, "synthmorph.deform.3.h5 cannot be reached"),
    "missing weights": ({"model": "absent.h5"}, "absent.h5"),
    "unknown device": ({"device": "cuda:99"}, "no device 'cuda:99'"),
    "nonsense device": ({"device": "toaster"}, "no device 'toaster'"),
    "unknown affine": ({"affine": "bent"}, "--affine"),
    "unknown interpolation": ({"interpolation": "psychic"}, "nterpolation"),
    "unknown precision": ({"precision": "int1"}, "recision"),
    "budget in words": ({"budget": "long"}, "budget"),
    "negative budget": ({"budget": -5}, "budget_s is -5"),
    "regularity above 1": ({"hyper": 1.5}, "hyper is 1.5; choose a number from 0 to 1"),
    "infinite smoothness": ({"smoothness": "inf"}, "smoothness"),
    "NaN background": ({"background": "nan"}, "background"),
    "fraction as seed": ({"seed": "0.5"}, "seed"),
    "labels without output": ({"movingLabels": "good.nii.gz"}, "--movingLabels belongs to --movedLabels"),
    "output without labels": ({"movedLabels": "moved-labels.nii.gz"}, "need --movingLabels"),
    "no output": ({"moved": None}, "Nothing would be written"),
    "no moving": ({"moving": None}, "--moving is missing"),
    "picture as volume": ({"moved": "moved.png"}, "moved.png"),
    "volume without extension": ({"moved": "moved"}, "moved"),
    "picture as transform": ({"forward": "forward.png"}, "forward.png"),
    "matrix file for a deformation": ({"forward": "forward.lta"}, ".h5"),
    "absent folder": ({"moved": "no/such/folder/moved.nii.gz"}, "does not exist"),
    "absent weights folder": ({"model": "vxm-dense-brain-T1-mse", "weightsDir": "no-such-folder"}, "no-such-folder"),
    "absent initial transform": ({"initialTransform": "absent.tfm"}, "absent.tfm"),
    "volume as initial transform": ({"initialTransform": "good.nii.gz"}, "good.nii.gz"),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_bad_option_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VXM_CACHE", str(folder / "cache"))
    monkeypatch.setattr("urllib.request.OpenerDirector.open", _no_network)
    options, words = OPTIONS[kind]
    assert words in refused(folder, capsys, **options)


def _no_network(*_arguments: object, **_options: object) -> None:
    raise OSError("the tests have no network")


@pytest.mark.parametrize("extra", [["--nonsense"], ["--fixd", "x"], ["stray.nii"], ["--moved"]])
def test_unknown_and_unfinished_options(folder: Path, capsys: pytest.CaptureFixture[str], extra: list[str]) -> None:
    assert "--help" in refused(folder, capsys, *extra)


def a_pickle(folder: Path) -> Path:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (folder / "executed",))

    torch.save({"config": {}, "model_state": Evil()}, folder / "evil.pt")
    return folder / "evil.pt"


def an_hdf5_bomb(folder: Path) -> Path:
    with h5py.File(folder / "bomb.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"kernel:0"]
        group.create_dataset("kernel:0", (100_000, 100_000, 100), "f4", chunks=(100, 100, 100), fillvalue=1)
    return folder / "bomb.h5"


def foreign_layers(folder: Path) -> Path:
    with h5py.File(folder / "foreign.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense_1"]
        group = file.create_group("dense_1")
        group.attrs["weight_names"] = [b"kernel:0"]
        group.create_dataset("kernel:0", data=np.ones((4, 5), np.float32))
    return folder / "foreign.h5"


@pytest.mark.parametrize("make", [a_pickle, an_hdf5_bomb, foreign_layers])
def test_dangerous_and_foreign_weights(folder: Path, capsys: pytest.CaptureFixture[str], make) -> None:
    path = make(folder)
    assert path.name in refused(folder, capsys, model=path)
    assert not (folder / "executed").exists()


def test_weights_that_are_cut_off(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (weights_folder() / "vxm_dense_brain_T1_3D_mse.h5").read_bytes()
    path = written(folder, "cut.h5", whole[: len(whole) // 2])
    assert "cut.h5" in refused(folder, capsys, model=path)


def test_weights_with_another_checksum_are_not_taken_for_the_published_ones(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VXM_CACHE", str(folder / "cache"))
    monkeypatch.setattr("urllib.request.OpenerDirector.open", _no_network)
    whole = bytearray((weights_folder() / "vxm_dense_brain_T1_3D_mse.h5").read_bytes())
    whole[-1] ^= 1
    written(folder, "vxm_dense_brain_T1_3D_mse.h5", bytes(whole))
    said = refused(folder, capsys, model="vxm-dense-brain-T1-mse", weightsDir=folder)
    assert "vxm_dense_brain_T1_3D_mse.h5" in said


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root may write to")
def test_a_folder_that_cannot_be_written_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be written" in refused(folder, capsys, moved="/proc/self/moved.nii.gz")


@pytest.mark.slow
@pytest.mark.parametrize("output", ["moved", "forward", "inverse", "report"])
def test_a_disk_that_fills_up_leaves_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    real = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name.startswith(output):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", full)
    names = {"moved": "moved.nii.gz", "forward": "forward.h5", "inverse": "inverse.h5", "report": "report.html"}
    files = {name: folder / file for name, file in names.items()}
    assert "No space left" in refused(folder, capsys, affine="none", **files)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_headers_give_a_result_or_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], damage: list[tuple[int, int]]
) -> None:
    raw = bytearray(gzip.decompress((folder / "good.nii.gz").read_bytes()))
    for offset, value in damage:
        raw[offset] = value
    path = written(folder, "fuzzed.nii", bytes(raw))
    argv = ["--fixed", str(path), "--moving", str(path), "--moved", str(folder / "out.nii.gz")]
    code = main([*argv, "--affine", "none", "--budget", "1"])
    printed = capsys.readouterr().err
    assert code in (0, 2), printed
    assert (folder / "out.nii.gz").exists() == (code == 0)
    assert printed.count("\n") == (1 if code else 0)
    (folder / "out.nii.gz").unlink(missing_ok=True)
    assert {item.name for item in folder.iterdir()} <= {"good.nii.gz", "fuzzed.nii", ".hypothesis"}


@pytest.mark.parametrize("seed", ["-1", "2147483648"])
def test_a_seed_that_nothing_can_draw_with_is_told(folder, capsys, seed):
    printed = refused(folder, capsys, "--seed", seed, "--affine", "rigid")
    assert f"seed is {seed}; choose a number from 0 to 2147483647." in printed
