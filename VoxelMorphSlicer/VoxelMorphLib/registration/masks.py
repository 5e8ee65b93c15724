"""Masks of the fixed and the moving volume: what lies outside them is not looked at."""

from __future__ import annotations

import numpy as np

from ..core.errors import GeometryError, ImageError
from ..core.image import Image, LabelMap
from ..core.transform import IDENTITY, Transform

#: Voxels kept around a mask when the image is cropped to it, so that its rim is interpolated from both sides.
MARGIN_VOX = 4


def fitted_mask(mask: LabelMap | None, image: Image, role: str) -> LabelMap | None:
    """Bring a mask onto the grid of its volume.

    Args:
        mask: any label but 0 is inside; on any grid in the space of the volume. None for no mask.
        image: the volume.
        role: "fixed" or "moving", for the messages.

    Returns:
        0 and 1 (uint8) on the grid of `image`, sampled by nearest neighbour; None without mask.

    Raises:
        ImageError: the mask is empty, or the volume is constant inside it.
        GeometryError: no voxel of the volume lies in the mask.
    """
    if mask is None:
        return None
    if not mask.array.any():
        raise ImageError(f"The {role} mask {mask.name} is empty. Draw what shall be looked at, or give no mask.")
    inside = mask_through(mask, image)
    if not inside.array.any():
        raise GeometryError(
            f"The {role} mask {mask.name} ({mask.geometry}) covers no voxel of the {role} volume {image.name} "
            f"({image.geometry}). Draw it on that volume, or check that both lie at the same place."
        )
    seen = image.array[inside.array > 0]
    if seen.min() == seen.max():
        raise ImageError(
            f"The {role} volume {image.name} is constant inside its mask {mask.name} (every voxel is {seen.flat[0]}). "
            "Choose a mask with contents."
        )
    return inside


def check_labels_meet(labels: LabelMap, image: Image, role: str) -> None:
    """Refuse label maps that would only give zeros, because they lie elsewhere than their volume.

    Args:
        labels: on any grid; without any label it meets every volume.
        image: the volume.
        role: "fixed" or "moving", for the message.

    Raises:
        GeometryError: no voxel of the volume has a label.
    """
    if labels.array.any() and not mask_through(labels, image).array.any():
        raise GeometryError(
            f"The {role} labels {labels.name} ({labels.geometry}) meet no voxel of the {role} volume {image.name} "
            f"({image.geometry}). Give the label map of that volume, or check that both lie at the same place."
        )


def described(mask: LabelMap | None) -> str:
    """A fitted mask in words: its name and the share of the volume inside; "" without mask."""
    return "" if mask is None else f"{mask.name}, {100 * float((mask.array > 0).mean()):.1f} % of the volume"


def mask_through(mask: LabelMap, image: Image, transform: Transform = IDENTITY) -> LabelMap:
    """0 and 1 (uint8) on the grid of `image`, whose space `transform` maps into that of the mask."""
    binary = mask.with_array((mask.array != 0).astype(np.uint8))
    same = transform is IDENTITY and mask.geometry.matches(image.geometry)
    array = binary.array if same else transform.resample(binary, image.geometry).array
    return LabelMap(array, image.geometry, mask.name)


def hide_outside(image: Image, mask: LabelMap | None) -> Image:
    """The image with its minimum, which stands for the background, outside a mask on the same grid."""
    if mask is None:
        return image
    return image.with_array(np.where(mask.array > 0, image.array, image.array.min()))


def cropped(image: Image, mask: LabelMap | None) -> tuple[Image, LabelMap | None]:
    """The part of an image around its mask, and of the mask; all of it without mask.

    What lies outside the mask gets the median of the inside, so that filters carry as little of it inside as they can.

    Raises:
        GeometryError: the mask is empty.
    """
    if mask is None:
        return image, None
    inside = np.argwhere(mask.array)
    if inside.size == 0:
        raise GeometryError(
            f"The mask {mask.name} lies far from the fixed volume under the initial transform. Check that transform."
        )
    low = np.maximum(inside.min(axis=0) - MARGIN_VOX, 0)
    high = np.minimum(inside.max(axis=0) + MARGIN_VOX + 1, mask.array.shape)
    part = tuple(slice(a, b) for a, b in zip(low, high))
    geometry = image.geometry.shifted(low, high - low)
    part_mask = mask.array[part]
    contents = np.where(part_mask > 0, image.array[part], np.median(image.array[mask.array > 0]))
    return Image(contents, geometry, image.name), LabelMap(part_mask, geometry, mask.name)
