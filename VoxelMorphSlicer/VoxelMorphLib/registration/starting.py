"""What comes before the model: which start is taken, how it is found, and what is said of it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..core.errors import ConfigError, GeometryError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.landmarks import fit_landmarks
from ..core.progress import Progress
from ..core.thin_plate import fit_thin_plate
from ..core.transform import IDENTITY, Transform
from ..weights.architectures import LINEAR
from ..weights.catalogue import DEFAULT_MODEL
from ..weights.entry import ModelEntry
from .alignment import inverted
from .guides import Guidance
from .initial import check_initial, initial_warnings
from .initialisation import MAX_VOXELS, Start, affine_start
from .masks import mask_through
from .memo import Memo
from .overlap import overlaps
from .planar_start import planar_start
from .planes import are_slices, check_in_plane, check_plane_model, onto_plane, plane_note
from .predictor import optimises
from .reduced_image import ReducedImage
from .request import RegistrationRequest

#: Of the moving image, seen through an initial transform, that an affine start is searched for.
SURROUNDINGS_VOXELS = 8 * MAX_VOXELS
#: Starts from landmarks, and the maps that they fit.
LANDMARK_STARTS = {f"landmarks-{kind}": kind for kind in ("rigid", "affine", "thin-plate")}
APART = (
    "The volumes do not overlap in the patient, so the registration started from their middles on each other. Check "
    "the position and the orientation in both headers."
)


class Starting:
    """The start of one pair.

    Args:
        request: the pair and how to register it.
        guidance: landmarks and labels of the request.
        masks: of the fixed and of the moving image, on their grids.

    Raises:
        GeometryError: a damaged initial transform, or one that leaves the plane of two slices.
    """

    def __init__(
        self, request: RegistrationRequest, guidance: Guidance, masks: tuple[LabelMap | None, LabelMap | None]
    ):
        self.request, self.guidance, self.masks = request, guidance, masks
        self.fixed, self.moving, self.options = request.fixed, request.moving, request.options
        #: What lies before everything else; for slices that lie apart, what lays one on the other.
        self.initial = request.initial or IDENTITY
        check_initial(self.initial)
        #: Name of the start that is taken.
        self.kind = "none"
        self._told = initial_warnings(self.initial)
        self._found_warnings: tuple[str, ...] = ()
        self.are_slices = are_slices(self.fixed, self.moving)
        if self.are_slices:
            self._lay_on_plane()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about where it begins, and about what was found."""
        return self._told + self._found_warnings

    def choose(self, entry: ModelEntry | None) -> None:
        """Decide what comes before a model, and refuse volumes apart that nothing may bring together.

        Args:
            entry: of the model; None before a file is read.

        Raises:
            ConfigError: the model does nothing with that start, or would not look at landmarks or labels.
            GeometryError: as said.
        """
        wanted = self.options.affine
        if wanted != "auto":
            self.kind = wanted
        elif entry is None:
            return
        else:
            self.kind = entry.affine_start
        if entry is not None and entry.architecture == LINEAR and self.kind == "none":
            raise ConfigError(
                f"The model {entry.id} does nothing without a start, and the start is none. Choose centre, rigid or "
                "affine, or another model."
            )
        if entry is not None and self.are_slices:
            check_plane_model(entry)
        self._check_use(entry)
        chosen = wanted not in ("auto", "none") or self.kind in ("grid", "centre")
        if chosen or overlaps(self.fixed.geometry, self.moving.geometry, self.initial):
            return
        if wanted == "auto" and self.request.initial is None:
            self.kind = "grid" if self.kind == "none" else self.kind
            self._told += () if APART in self._told else (APART,)
        else:
            raise GeometryError(
                f"The volumes {self.fixed.name} (centre {_point(self.fixed.geometry)}) and {self.moving.name} (centre "
                f"{_point(self.moving.geometry)}) do not overlap in the patient. Choose the start centre, rigid or "
                "affine, or give an initial transform."
            )

    def find(self, starts: Memo[Start], pair: bytes, progress: Progress) -> Transform:
        """Fixed -> moving before the deformable stage.

        Args:
            starts: what was found before.
            pair: digest of what is aligned.
            progress: of a search; may raise `Cancelled`.
        """
        if self.kind == "none":
            return self.initial
        if self.kind in LANDMARK_STARTS:
            return self._from_landmarks
        found = starts.recall(lambda: self._search(progress), pair, self.initial, self.kind, self.options.seed)
        self._found_warnings = found.warnings
        return found.transform.compose(self.initial)

    def _lay_on_plane(self) -> None:
        """Lay the plane of one slice on that of the other, if no initial transform does."""
        planes = self.fixed.geometry, self.moving.geometry
        if self.initial is not IDENTITY:
            check_in_plane(*planes, self.initial)
            return
        self.initial = onto_plane(*planes)
        self._told += plane_note(*planes)

    def _check_use(self, entry: ModelEntry | None) -> None:
        """Refuse landmarks and labels that nothing would look at, and a start from landmarks without any."""
        landmarks, labels = self.guidance.landmarks, self.guidance.labels
        if self.kind in LANDMARK_STARTS:
            if landmarks is None:
                raise ConfigError(
                    f"The start {self.kind} needs landmarks in both images, and there are none. Give them, or choose "
                    "another start."
                )
            _ = self._from_landmarks  # before anything is downloaded
            landmarks = None  # they are of use
        if entry is None or optimises(entry, self.options.refine):
            return
        for given, what in ((landmarks, "landmarks"), (labels, "labels")):
            if given is not None:
                raise ConfigError(
                    f"The {what} would not be used, because the model {entry.id} optimises nothing on the pair. Choose "
                    f"refine fast, balanced or best, the model {DEFAULT_MODEL}, or give no {what}."
                )

    @cached_property
    def _from_landmarks(self) -> Transform:
        assert self.guidance.landmarks is not None
        fixed, moving = self.guidance.landmarks
        moving, kind = inverted(self.initial).apply_to_points(moving), LANDMARK_STARTS[self.kind]
        if kind == "thin-plate":
            return fit_thin_plate(fixed, moving, self.fixed.geometry).compose(self.initial)
        return fit_landmarks(fixed, moving, kind).compose(self.initial)

    def _search(self, progress: Progress) -> Start:
        search = planar_start if self.are_slices else affine_start
        moving, moving_mask = self._seen()
        return search(self.fixed, moving, self.kind, self.options.seed, progress, self.masks[0], moving_mask)

    def _seen(self) -> tuple[Image, LabelMap | None]:
        """The moving image and its mask as the initial transform places them."""
        moving, mask = self.moving, self.masks[1]
        if self.initial is IDENTITY:
            return moving, mask
        motion = self.initial.as_matrix()
        if self.are_slices and self.request.initial is None and motion is not None:
            # Only where it lies changes, which keeps what lies beyond the fixed slice.
            geometry = moving.geometry.moved(np.linalg.inv(motion))
            mask = None if mask is None else LabelMap(mask.array, geometry, mask.name)
            return Image(moving.array, geometry, moving.name), mask
        if not self.are_slices:
            moving = ReducedImage.of(moving, None, SURROUNDINGS_VOXELS).as_image(moving.name)
        moving = self.initial.resample(moving, _surroundings(self.fixed.geometry))
        return moving, None if mask is None else mask_through(mask, moving, self.initial)


def _surroundings(geometry: Geometry) -> Geometry:
    """Half the extent added on every side, so that nothing is lost before an affine start, on voxels as it needs."""
    extent = geometry.shape * geometry.spacing
    coarse = geometry.with_spacing(np.maximum(geometry.spacing, 2 * (np.prod(extent) / SURROUNDINGS_VOXELS) ** (1 / 3)))
    margin = [n // 2 for n in coarse.shape]
    return coarse.shifted([-m for m in margin], [n + 2 * m for n, m in zip(coarse.shape, margin)])


def _point(geometry: Geometry) -> str:
    return "(" + ", ".join(f"{c:.0f}" for c in geometry.centre) + ") mm"
