"""Vector images <-> DisplacementField: the conventions of Slicer and ANTs, and FreeSurfer's three frames.

ITK's formats hold LPS vectors, mm. In NIfTI the intent decides: 1006 (displacement) is RAS, as Slicer writes it, 1007
(vector) is LPS, as ANTs writes it; three frames without intent are FreeSurfer's RAS displacement, source - target.
"""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..errors import GeometryError, OutputError, UnplacedFieldError
from ..geometry import Geometry
from ..transform import DisplacementField
from .files import check_readable, extension, naming
from .fsl import COEFFICIENTS, FIELD, fnirt_field
from .itk import NIFTI_EXTENSIONS, READERS, array_of, geometry_of, itk_image, quiet, read_itk, swap_ras_lps
from .mgh import MGH_EXTENSIONS, read_mgh, write_mgh
from .nifti import read_nifti
from .nifti_position import FIELDS

FIELD_EXTENSIONS = (*READERS, *MGH_EXTENSIONS)
#: NIfTI intents, https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields/nifti1fields_pages/intent.html
INTENT_NONE, INTENT_DISPLACEMENT, INTENT_VECTOR = 0, 1006, 1007
#: Key by which Slicer distinguishes "from parent" (resampling) and "to parent" (modeling) in NRRD files.
DIRECTION_KEY = "displacement field type"


def read_displacement(path: Path | str, moving: Geometry | None = None) -> DisplacementField:
    """Read a displacement field, RAS mm.

    Args:
        path: of the file.
        moving: grid of the image that it leads to, which fields of FSL need.

    Raises:
        ImageError: missing or damaged file.
        GeometryError: not vectors of three components, or another direction or intent.
        DependencyError: .mgz without nibabel.
    """
    path, kind = check_readable(path, GeometryError), extension(path)
    with naming(path):
        if kind in NIFTI_EXTENSIONS:
            return _read_nifti(path, moving)
        if kind in MGH_EXTENSIONS:
            array, affine = read_mgh(path)
            _check_vectors(array.shape[:3], array.shape[3:], path)
            return DisplacementField(_as_float(array), Geometry(array.shape[:3], affine))
        image = read_itk(path)
        _check_vectors(image.GetSize(), (image.GetNumberOfComponentsPerPixel(),), path)
        _check_direction(image, path)
        return DisplacementField(swap_ras_lps(_as_float(array_of(image))), geometry_of(image, path))


def write_displacement(field: DisplacementField, scratch: Path, path: Path) -> None:
    """Write a field to `scratch`; messages name `path`. FreeSurfer's formats keep float32 only.

    Raises:
        OutputError: ITK could not write the file.
        DependencyError: .mgz without nibabel.
    """
    kind = extension(path)
    try:
        with quiet():
            if kind in NIFTI_EXTENSIONS:
                _write_nifti(field, scratch)
            elif kind in MGH_EXTENSIONS:
                write_mgh(scratch, field.array.astype(np.float32), field.geometry.affine)
            else:
                image = itk_image(swap_ras_lps(field.array), field.geometry)
                image.SetMetaData(DIRECTION_KEY, "resampling")
                image.SetMetaData("intent_code", str(INTENT_DISPLACEMENT))
                sitk.WriteImage(image, str(scratch))
    except RuntimeError as cause:
        raise OutputError(f"{path} could not be written. Check the free space and the folder.") from cause


def _read_nifti(path: Path, moving: Geometry | None) -> DisplacementField:
    nifti = read_nifti(path)
    array = nifti.array[:, :, :, 0] if nifti.array.ndim == 5 and nifti.array.shape[3] == 1 else nifti.array
    _check_vectors(array.shape[:3], array.shape[3:], path)
    assert nifti.geometry is not None
    if nifti.intent in (FIELD, *COEFFICIENTS):
        return fnirt_field(_as_float(array), nifti.intent, path, nifti.geometry, moving)
    is_freesurfer = nifti.intent == INTENT_NONE and nifti.array.ndim == 4
    if is_freesurfer and not nifti.in_mm:
        raise UnplacedFieldError(
            f"{path} does not say that its three frames are mm, as a voxel warp of the original VoxelMorph. "
            "Give the fixed image it belongs to with it."
        )
    if not is_freesurfer and nifti.intent not in (INTENT_DISPLACEMENT, INTENT_VECTOR):
        raise GeometryError(
            f"{path} has the NIfTI intent {nifti.intent}; displacement fields have {INTENT_DISPLACEMENT} (RAS) or "
            f"{INTENT_VECTOR} (LPS). Export it as a displacement field."
        )
    vectors = _as_float(array)
    return DisplacementField(swap_ras_lps(vectors) if nifti.intent == INTENT_VECTOR else vectors, nifti.geometry)


def _write_nifti(field: DisplacementField, scratch: Path) -> None:
    """SimpleITK writes vectors with intent 1007 only: hand it the RAS numbers and correct the intent."""
    plain = scratch.with_name("uncompressed.nii")
    sitk.WriteImage(itk_image(field.array, field.geometry), str(plain))
    with plain.open("r+b") as stream:
        stream.seek(FIELDS["intent_code"][1])
        stream.write(struct.pack("=h", INTENT_DISPLACEMENT))
    if extension(scratch) == ".nii":
        plain.replace(scratch)
        return
    with plain.open("rb") as source, gzip.GzipFile(scratch, "wb", 1, mtime=0) as target:
        shutil.copyfileobj(source, target, 1 << 22)
    plain.unlink()


def _check_vectors(shape: tuple[int, ...], components: tuple[int, ...], path: Path) -> None:
    if len(shape) != 3 or tuple(components) != (3,):
        raise GeometryError(
            f"{path} is not a displacement field: it has the extents {(*shape, *components)} instead of three axes "
            "and three components. Choose a displacement field or another kind of transform file."
        )


def _check_direction(image: sitk.Image, path: Path) -> None:
    direction = image.GetMetaData(DIRECTION_KEY) if image.HasMetaDataKey(DIRECTION_KEY) else "resampling"
    if direction != "resampling":
        raise GeometryError(
            f"{path} stores its field for the opposite direction ({DIRECTION_KEY}: {direction}). "
            "In Slicer's Transforms module invert the transform, convert it to a displacement field and save that."
        )


def _as_float(array: np.ndarray) -> np.ndarray:
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
