"""The figures of a pair with headings and captions, as the pages of all commands show them."""

from __future__ import annotations

from collections.abc import Sequence

from . import figures
from .layout import Picture
from .views import View

_OVERVIEW = (
    "Fixed image green, the other one magenta, grey where both are equally bright. Coloured fringes along edges are "
    "what does not lie on each other. Images of different contrast are coloured everywhere; there the edges count."
)
_IMAGES = (
    "Slices along the voxel planes of the fixed grid that are closest to the anatomical planes, through the centre of "
    "the image content, all at one scale. Radiological convention: the patient's right is on the left. R right, L "
    "left, A anterior, P posterior, S superior, I inferior. Blue line: outline of the fixed image."
)
_AGREEMENT = (
    "Both images are windowed from their 0.5th to their 99.5th percentile. Difference: white where they agree, red "
    "where the fixed image is brighter, blue where it is darker. For images of different modalities use the "
    "checkerboard: edges continue across its tiles where the alignment is right."
)
_DEFORMATION = (
    "Grid: a regular grid of the moving image, one line every {step:g} mm, warped to the fixed image. Local volume "
    "change: Jacobian determinant of fixed to moving over the fixed image, which shows through where little changes; "
    "red where the moving image is larger, blue where it is smaller, green where the transform folds. Displacement: "
    "distance from a point to its corresponding point in the moving image, including the affine part."
)


def comparison_pictures(views: Sequence[View]) -> list[Picture]:
    """Both images over each other, side by side, their agreement, and the deformation where it is known.

    Args:
        views: of one pair.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    has_before, has_bent = views[0].moving is not None, views[0].bent is not None
    when = "before and after" if has_before else "after the registration"
    pictures = [
        Picture(
            "Before and after" if has_before else "Over each other",
            figures.overview_figure(views),
            f"Both images over each other in three planes, {when}",
            _OVERVIEW,
        ),
        Picture("Images", figures.images_figure(views), "The images in three planes", _IMAGES),
        Picture("Agreement", figures.agreement_figure(views), f"Differences and checkerboards, {when}", _AGREEMENT),
    ]
    if has_bent:
        step = figures.grid_step(max(max(view.slice.size) for view in views))
        png = figures.deformation_figure(views)
        caption = _DEFORMATION.format(step=step)
        pictures.append(Picture("Deformation", png, "Grid, Jacobian, displacement", caption))
    return pictures
