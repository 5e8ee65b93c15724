"""Each bad file gives one sentence with its values and a remedy, and nothing on the terminal."""

from __future__ import annotations

import gzip
import resource
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.errors import GeometryError, ImageError
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.nifti_position import FIELDS

IMAGE = a_blob_image(a_geometry("left-handed oblique"))


def a_file(folder: Path, name: str) -> Path:
    return write_image(IMAGE, folder / name)


def edit(path: Path, change) -> Path:
    """Apply `change` to the bytes of a file, decompressed where it is .gz."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(change(gzip.decompress(raw))))
    else:
        path.write_bytes(change(raw))
    return path


def with_field(path: Path, field: str, *values: float, index: int = 0) -> Path:
    """Overwrite numbers of a NIfTI header."""
    kind, offset = FIELDS[field]
    element = np.dtype(kind).base
    new = np.array(values, element.newbyteorder("<")).tobytes()
    start = offset + index * element.itemsize
    return edit(path, lambda raw: raw[:start] + new + raw[start + len(new) :])


def with_text(path: Path, old: bytes, new: bytes) -> Path:
    """Replace text of a NRRD or MetaImage header."""
    assert old in path.read_bytes()
    return edit(path, lambda raw: raw.replace(old, new, 1))


def a_written(folder: Path, name: str, array: np.ndarray, is_vector: bool = False, **geometry) -> Path:
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    for key, value in geometry.items():
        getattr(image, f"Set{key}")(value)
    sitk.WriteImage(image, str(folder / name))
    return folder / name


def refused(path: Path, error: type[Exception], text: str, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(error, match=text) as caught:
        read_image(path)
    message = str(caught.value)
    assert path.name.split(".")[0] in message
    assert "\n" not in message
    assert not any(word in message for word in ("sitk::", "itk::", ".cxx", "Traceback", "[nrrd]"))
    assert message.rstrip().endswith(".")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".npz"])
class TestAnyFormat:
    """Faults of every format."""

    def test_missing(self, tmp_path, capfd, extension):
        refused(tmp_path / f"x{extension}", ImageError, r"does not exist. Check the name", capfd)

    def test_empty(self, tmp_path, capfd, extension):
        (tmp_path / f"x{extension}").touch()
        refused(tmp_path / f"x{extension}", ImageError, r"is empty \(0 bytes\)", capfd)

    def test_a_folder(self, tmp_path, capfd, extension):
        (tmp_path / f"x{extension}").mkdir()
        refused(tmp_path / f"x{extension}", ImageError, r"is a folder. Choose a file", capfd)

    @pytest.mark.parametrize("text", [b"hello", b"This is a text file.\n" * 100])
    def test_text(self, tmp_path, capfd, extension, text):
        (tmp_path / f"x{extension}").write_bytes(text)
        refused(tmp_path / f"x{extension}", ImageError, "x", capfd)

    def test_zeros(self, tmp_path, capfd, extension):
        (tmp_path / f"x{extension}").write_bytes(bytes(5000))
        refused(tmp_path / f"x{extension}", ImageError, "x", capfd)

    @pytest.mark.parametrize("kept", [0.98, 0.5, 0.1])
    def test_truncated(self, tmp_path, capfd, extension, kept):
        path = a_file(tmp_path, f"x{extension}")
        path = tmp_path / "x.raw" if extension in (".nhdr", ".mhd") else path
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
        refused(tmp_path / f"x{extension}", ImageError, "truncated|damaged|not a", capfd)

    def test_another_format_with_this_extension(self, tmp_path, capfd, extension):
        other = a_file(tmp_path, "other.nrrd" if "n" not in extension[:3] else "other.mha")
        other.rename(tmp_path / f"x{extension}")
        refused(tmp_path / f"x{extension}", ImageError, "x", capfd)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("field", "values", "index", "error", "text"),
    [
        ("dim", [9], 0, ImageError, r"impossible extents \[9, 14"),
        ("dim", [0], 0, ImageError, "impossible extents"),
        ("dim", [0], 2, ImageError, r"impossible extents \[3, 14, 0"),
        ("dim", [-12], 2, ImageError, r"impossible extents \[3, 14, -12"),
        (
            "dim",
            [32767, 32767, 32767],
            1,
            ImageError,
            r"truncated: its header announces 32767x32767x32767 voxels in \d+",
        ),
        ("dim", [13], 3, ImageError, r"truncated: its header announces 14x12x13 voxels in \d+ bytes, found \d+"),
        ("datatype", [128], 0, ImageError, "voxels of NIfTI type 128, which are not real scalars"),
        ("datatype", [32], 0, ImageError, "voxels of NIfTI type 32"),
        ("datatype", [77], 0, ImageError, "voxels of NIfTI type 77"),
        ("vox_offset", [12], 0, ImageError, "places its voxels at byte 12"),
        ("vox_offset", [np.nan], 0, ImageError, "places its voxels at byte nan"),
        ("vox_offset", [1e9], 0, ImageError, "truncated"),
        ("pixdim", [0], 1, GeometryError, r"voxel spacing \[0.0, .* Correct the file header"),
        ("pixdim", [-1], 3, GeometryError, "voxel spacing"),
        ("pixdim", [np.nan], 2, GeometryError, r"voxel spacing \[.*nan"),
        ("srow", [np.nan], 3, GeometryError, "NaN or infinity in the position"),
        ("quaternion", [np.inf], 0, GeometryError, "NaN or infinity in the position"),
        ("magic", [b"n-1"], 0, ImageError, "not a NIfTI file"),
        ("sizeof_hdr", [540], 0, ImageError, "is not a NIfTI file"),
        ("sizeof_hdr", [42], 0, ImageError, "not a NIfTI file"),
    ],
)
def test_nifti_headers(tmp_path, capfd, extension, field, values, index, error, text):
    refused(with_field(a_file(tmp_path, f"x{extension}"), field, *values, index=index), error, text, capfd)


@pytest.mark.parametrize("shear", [0.5, 0.002])
def test_a_sheared_nifti(tmp_path, capfd, shear):
    path = with_field(write_image(a_blob_image(a_geometry("RAS")), tmp_path / "x.nii"), "qform_code", 0)
    refused(with_field(path, "srow", 2 * shear, index=1), GeometryError, "sheared", capfd)


def test_a_nifti_file_with_damaged_compression(tmp_path, capfd):
    path = a_file(tmp_path, "x.nii.gz")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    refused(path, ImageError, "damaged", capfd)


@pytest.mark.parametrize(
    ("old", "new", "error", "text"),
    [
        (
            b"sizes: 14 12 10",
            b"sizes: 60000 50000 40000",
            ImageError,
            r"announces 60000x50000x40000 voxels \(4.8e\+05 GB\)",
        ),
        (b"sizes: 14 12 10", b"sizes: 14 12 11", ImageError, "damaged or not a .nrrd"),
        (b"sizes: 14 12 10", b"sizes: 14 12", ImageError, "damaged or not a .nrrd"),
        (b"sizes: 14 12 10", b"sizes: 14 0 10", ImageError, "damaged or not a .nrrd"),
        (b"type: float", b"type: block", ImageError, "damaged or not a .nrrd"),
        (b"space directions: (", b"space directions: (nan", ImageError, "damaged or not a .nrrd"),
        (b"encoding: gzip", b"encoding: raw", ImageError, "damaged or not a .nrrd"),
        (b"encoding: gzip", b"encoding: gzip\ndata file: gone.raw", ImageError, "gone.raw does not exist"),
        (b"encoding: gzip", b"encoding: gzip\ndata file: LIST\n", ImageError, "voxels over several files"),
        (b"encoding: gzip", b"encoding: gzip\ndata file: x%03d.raw 1 3 1", ImageError, "voxels over several files"),
    ],
)
def test_nrrd_headers(tmp_path, capfd, old, new, error, text):
    path = with_text(a_file(tmp_path, "x.nrrd"), old, new)
    with pytest.raises(error, match=text):
        read_image(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("directions", "text"),
    [
        (b"(1,0.3,0) (0,1,0) (0,0,1)", "sheared .largest cosine between two axes 0.2873"),
        (b"(1,0,0) (1,0,0) (0,0,1)", "sheared, parallel or missing voxel axes|sheared"),
        (b"(1,0,0) (0,0,0) (0,0,1)", "sheared, parallel or missing voxel axes|spacing"),
    ],
)
def test_nrrd_directions(tmp_path, capfd, directions, text):
    header = b"NRRD0004\ntype: uchar\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 2 2\nencoding: raw\n"
    (tmp_path / "x.nrrd").write_bytes(
        header + b"space directions: " + directions + b"\nspace origin: (0,0,0)\n\n" + bytes(8)
    )
    refused(tmp_path / "x.nrrd", (GeometryError, ImageError), text, capfd)


@pytest.mark.parametrize("spacings", [b"1 -2 1", b"1 0 1"])
def test_nrrd_spacings(tmp_path, capfd, spacings):
    header = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\nspacings: "
    (tmp_path / "x.nrrd").write_bytes(header + spacings + b"\n\n" + bytes(8))
    refused(tmp_path / "x.nrrd", (GeometryError, ImageError), "x", capfd)


@pytest.mark.parametrize(
    ("old", "new", "error", "text"),
    [
        (b"DimSize = 14 12 10", b"DimSize = 60000 50000 40000", ImageError, r"announces 60000x50000x40000 voxels"),
        (
            b"DimSize = 14 12 10",
            b"DimSize = 14 12 11",
            ImageError,
            r"truncated or damaged: its header announces \d+ bytes",
        ),
        (b"DimSize = 14 12 10", b"DimSize = 14 12", ImageError, r"wrong \['DimSize'\]"),
        (b"DimSize = 14 12 10", b"DimSize = 14 12 x", ImageError, r"wrong \['DimSize'"),
        (b"DimSize = 14 12 10", b"DimSize = 14 -12 10", ImageError, r"wrong \['DimSize'"),
        (b"DimSize = 14 12 10\n", b"", ImageError, r"missing \['DimSize'\]"),
        (b"NDims = 3", b"NDims = 600", ImageError, r"wrong \['NDims'\]"),
        (b"NDims = 3", b"NDims = three", ImageError, r"wrong \['NDims'\]"),
        (b"MET_FLOAT", b"FLOAT", ImageError, r"wrong \['ElementType'\]"),
        (b"MET_FLOAT", b"MET_FLOUR", ImageError, "damaged or not a .mha"),
        (b"CompressedDataSize = ", b"CompressedDataSize = 9", ImageError, "truncated or damaged"),
        (b"CompressedDataSize = ", b"CompressedDataSize = x", ImageError, "wrong .'CompressedDataSize'"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = gone.raw", ImageError, "gone.raw does not exist"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = LIST", ImageError, "voxels over several files"),
        (b"ElementSpacing = 1.8", b"ElementSpacing = 0", GeometryError, r"voxel spacing \[0.0"),
        (b"ElementSpacing = 1.8", b"ElementSpacing = -1.8", GeometryError, r"voxel spacing \[-1.8"),
        (b"ElementSpacing = 1.8", b"ElementSpacing = nan", ImageError, r"wrong \['ElementSpacing'\]"),
        (b"TransformMatrix = -", b"TransformMatrix = ", GeometryError, "sheared"),
    ],
)
def test_metaimage_headers(tmp_path, capfd, old, new, error, text):
    path = with_text(a_file(tmp_path, "x.mha"), old, new)
    with pytest.raises(error, match=text):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_the_folder_is_no_reason(tmp_path):
    """ITK's messages hold the path, and the words in them decide what we say."""
    folder = tmp_path / "spacing"
    folder.mkdir()
    path = with_text(a_file(folder, "x.nrrd"), b"type: float", b"type: block")
    with pytest.raises(ImageError, match=r"is damaged or not a .nrrd file"):
        read_image(path)


def test_metaimage_files_of_text_are_read(tmp_path):
    """Voxels written as numbers have no length to compare with."""
    header = "NDims = 3\nBinaryData = False\nDimSize = 2 1 2\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "x.mha").write_text(header + "1 2 3 4\n")
    assert read_image(tmp_path / "x.mha").array.tolist() == [[[1, 3]], [[2, 4]]]


@pytest.mark.parametrize("place", [0.3, 0.6])
def test_a_metaimage_file_with_damaged_compression(tmp_path, capfd, place):
    path = a_file(tmp_path, "x.mha")
    raw = bytearray(path.read_bytes())
    start = raw.index(b"LOCAL\n") + 6
    middle = start + int(place * (len(raw) - start))
    raw[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(raw)
    refused(path, ImageError, r"truncated or damaged: its header announces \d+ bytes of voxels, 0 can be read", capfd)


def test_nothing_is_allocated_for_a_header_that_claims_terabytes(tmp_path):
    paths = [
        with_field(a_file(tmp_path, "x.nii"), "dim", 32767, 32767, 32767, index=1),
        with_text(a_file(tmp_path, "x.nrrd"), b"sizes: 14 12 10", b"sizes: 60000 50000 400"),
        with_text(a_file(tmp_path, "x.mha"), b"DimSize = 14 12 10", b"DimSize = 60000 50000 400"),
        edit(
            a_file(tmp_path, "x.mgh"), lambda raw: raw[:4] + np.array([60000, 50000, 400], ">i4").tobytes() + raw[16:]
        ),
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in paths:
        with pytest.raises(ImageError, match=r"announces"):
            read_image(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("extension", [".nii", ".nrrd", ".mha", ".mgz", ".npz"])
def test_several_frames(tmp_path, capfd, extension):
    nibabel = pytest.importorskip("nibabel")
    frames = np.zeros((4, 5, 6, 3), np.float32)
    path = tmp_path / f"x{extension}"
    if extension == ".npz":
        np.savez(path, vol=frames)
    elif extension == ".mgz":
        nibabel.MGHImage(frames, np.eye(4)).to_filename(path)
    else:
        a_written(tmp_path, path.name, frames.transpose())
    refused(path, ImageError, r"has 4 dimensions, 4x5x6x3. Extract a single frame", capfd)


@pytest.mark.parametrize("extension", [".nii", ".nrrd", ".npz"])
def test_a_line(tmp_path, capfd, extension):
    path = tmp_path / f"x{extension}"
    if extension == ".npz":
        np.savez(path, vol=np.zeros(6))
    elif extension == ".nii":
        nibabel = pytest.importorskip("nibabel")
        nibabel.Nifti1Image(np.zeros(6, np.float32), np.eye(4)).to_filename(path)
    elif extension == ".nrrd":
        path.write_bytes(
            b"NRRD0004\ntype: float\ndimension: 1\nsizes: 6\nencoding: raw\nendian: little\n\n" + bytes(24)
        )
    refused(path, ImageError, r"has 1 dimensions, 6. Choose a volume or a slice|is damaged or not a .nrrd file", capfd)


@pytest.mark.parametrize("extension", [".nrrd", ".mha"])
@pytest.mark.parametrize("components", [2, 3, 4])
def test_colours_and_vectors(tmp_path, capfd, extension, components):
    path = a_written(tmp_path, f"x{extension}", np.zeros((4, 5, 6, components), np.uint8), is_vector=True)
    refused(path, ImageError, f"has {components} values per voxel", capfd)


def test_vectors_in_nifti(tmp_path, capfd):
    path = a_written(tmp_path, "x.nii", np.zeros((4, 5, 6, 3), np.float32), is_vector=True)
    refused(path, ImageError, "has 5 dimensions, 6x5x4x1x3", capfd)


def test_complex_numbers(tmp_path, capfd):
    path = a_written(tmp_path, "x.nii", np.zeros((4, 5, 6), np.complex64))
    refused(path, ImageError, "NIfTI type 32, which are not real scalars", capfd)


def test_one_voxel_axes_are_read(tmp_path):
    path = a_written(tmp_path, "x.nii", np.zeros((1, 5, 6), np.float32))
    assert read_image(path).array.shape == (6, 5, 1)


def test_an_unreadable_file(tmp_path, capfd, monkeypatch):
    path = a_file(tmp_path, "x.nii")

    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    refused(path, ImageError, r"cannot be opened \(Permission denied\)", capfd)


def test_a_name_that_no_file_can_have(tmp_path):
    with pytest.raises(ImageError, match=r"has a NUL character in its name"):
        read_image(str(tmp_path / "x\0.nii"))
