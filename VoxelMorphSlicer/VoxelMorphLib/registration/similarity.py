"""Similarities that an optimisation climbs: which one suits a pair, and how each pulls at the moved image.

Descriptors are computed once from the unmoved images and moved with them; only local correlation and mutual
information look at the moved image itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..core.errors import ConfigError
from ..core.filters import block_mean
from ..core.image_resampling import background_of
from ..core.losses.mind import mind_descriptor
from ..core.losses.mutual_information import mutual_information_loss
from ..core.tensors import as_array
from ..core.windows import Windows
from .texture import FOREGROUND, texture_and_noise, window_of, windows_of

#: (moved features, mask or None) -> energy of one voxel's mean, and its slope at every moved value.
Pull = Callable[[Tensor, "Tensor | None"], "tuple[Tensor, Tensor]"]

#: Windows of this variance count half; 1 is the variance of the usual window of the pair.
NOISE = 0.7
#: Limits of the membrane of local correlation, which is the share of noise in the texture of the pair.
SMOOTHED_LEAST, SMOOTHED_MOST = 0.12, 0.5
#: Local correlation is chosen from this `linearity` on, and up to this `histogram_distance`.
LINEAR, ALIKE = 0.78, 0.08
#: From this `linearity` on, whatever the histograms: noise alone, or another receiver, moves them apart.
STRAIGHT = 0.98
#: Voxels that suffice to choose a similarity, and classes of intensity.
CHOICE_VOXELS, CLASSES = 100_000, 24
#: Histograms are compared on so many voxels, and on as few as above, where interpolation and noise count little.
DISTRIBUTION_VOXELS = 1_000_000
#: An image of fewer different values has nothing that descriptors or correlation could follow.
FEWEST_VALUES = 3


@dataclass(frozen=True)
class Similarity:
    """One way to compare the two images.

    Args:
        name: "ncc", "mind", "mse" or "mi".
        title: what people call it.
        membrane, bending: weights of the regularity that suit it, beside a voxel's part of the energy.
        features: image (1, 1, *shape) -> what is moved (1, C, *shape), on full resolution.
        texture: moved features of one level -> the image whose slopes are the curvature of the energy.
        against: features of the unmoved image -> its pull at the moved ones.
        momentum: share of the step before that goes on.
    """

    name: str
    title: str
    membrane: float
    bending: float
    features: Callable[[Tensor], Tensor]
    texture: Callable[[Tensor], Tensor]
    against: Callable[[Tensor], Pull]
    momentum: float = 0.5


def reduce_features(features: Tensor, reduction: Sequence[int]) -> Tensor:
    """Means of whole blocks; voxel i of the result lies at (n - 1) / 2 + n i."""
    return block_mean(features, reduction)


def linearity(fixed: Tensor, moving: Tensor, mask: Tensor | None = None) -> float:
    """How far a straight line explains what the intensities of one image tell about the other's, 0 to 1.

    The squared correlation by the larger of the two correlation ratios, inside what both images show. It is near 1
    for one contrast, inverted or not, also where the pair is not aligned yet, because misalignment lowers both.

    Args:
        fixed, moving: (1, 1, *shape), about 0..1, aligned roughly.
        mask: (1, 1, *shape), where it is 0 nothing is looked at.

    Source: correlation ratio: Roche et al., MICCAI 1998, doi:10.1007/BFb0056301.
    """
    x, y = _shown_by_both(fixed, moving, mask, CHOICE_VOXELS)
    explained = max(_correlation_ratio(x, y), _correlation_ratio(y, x))
    if explained < 1e-6 or not x.var() or not y.var():
        return 0.0
    return float(min(np.corrcoef(x, y)[0, 1] ** 2 / explained, 1.0))


def histogram_distance(fixed: Tensor, moving: Tensor, mask: Tensor | None = None) -> float:
    """How differently the intensities of the two images are distributed, up to brightness, contrast and inversion.

    Mean distance of the quantiles inside what both images show, in standard deviations: 0.02 to 0.076 for two people
    and one contrast, 0.084 and more for T1, T2, FLAIR and T1 after a contrast agent among each other.

    Args:
        fixed, moving: (1, 1, *shape), about 0..1, aligned roughly.
        mask: (1, 1, *shape), where it is 0 nothing is looked at.
    """
    shares, distances = np.linspace(0.02, 0.98, 97), []
    for voxels in (DISTRIBUTION_VOXELS, CHOICE_VOXELS):
        x, y = _shown_by_both(fixed, moving, mask, voxels)
        one, other, inverted = (np.quantile(_standard(v), shares) for v in (x, y, -y))
        distances += [np.abs(one - other).mean(), np.abs(one - inverted).mean()]
    return float(min(distances))


def binary_roles(fixed: Tensor | np.ndarray, moving: Tensor | np.ndarray) -> tuple[str, ...]:
    """Which of "fixed" and "moving" has only two values; images of any shape that were not interpolated yet."""
    return tuple(role for role, image in (("fixed", fixed), ("moving", moving)) if _is_binary(image))


def check_similarity(wanted: str, binary: Sequence[str]) -> None:
    """Refuse a similarity that a pair cannot have.

    Args:
        wanted: "auto" or a name.
        binary: see `binary_roles`.

    Raises:
        ConfigError: an unknown name, or one that needs grey values for a binary image.
    """
    if wanted not in ("auto", *SIMILARITIES):
        raise ConfigError(f"The similarity {wanted!r} does not exist; choose auto or one of {', '.join(SIMILARITIES)}.")
    if binary and wanted not in ("auto", "mse"):
        raise ConfigError(
            f"The similarity {wanted} needs grey values, and the {binary[0]} image has only two. Choose mse or auto."
        )


def choose_similarity(
    wanted: str, fixed: Tensor, moving: Tensor, mask: Tensor | None = None, binary: Sequence[str] = ()
) -> tuple[Similarity, str]:
    """The similarity for a pair and a sentence why.

    Args:
        wanted: "auto" or a name.
        fixed, moving: (1, 1, *shape), about 0..1, aligned roughly.
        mask: (1, 1, *shape), where it is 0 nothing is looked at.
        binary: roles of images that had two values before they were interpolated.

    Raises:
        ConfigError: a similarity that needs grey values was named for a binary image.
    """
    binary = binary or binary_roles(fixed, moving)
    check_similarity(wanted, binary)
    if wanted != "auto":
        return _suited(wanted, fixed, moving), f"{SIMILARITIES[wanted].title}, as asked for"
    if binary:
        return SIMILARITIES["mse"], f"{SIMILARITIES['mse'].title}, because the {binary[0]} image has only two values"
    straight, distance = linearity(fixed, moving, mask), histogram_distance(fixed, moving, mask)
    alike = straight >= STRAIGHT or (straight >= LINEAR and distance <= ALIKE)
    chosen = _suited("ncc" if alike else "mind", fixed, moving)
    return chosen, (
        f"{chosen.title}, because the images show {'one contrast' if alike else 'different contrasts'} (linearity "
        f"{straight:.2f}, histograms {distance:.2f} apart; one contrast has at least {LINEAR} and at most {ALIKE}, "
        f"or {STRAIGHT} alone)"
    )


def _suited(name: str, fixed: Tensor, moving: Tensor) -> Similarity:
    """Fitted to the texture of the pair: the more noise, the smoother is what local correlation finds."""
    similarity = SIMILARITIES[name]
    if name != "ncc":
        return similarity
    (texture, noise), (other_texture, other_noise) = texture_and_noise(fixed), texture_and_noise(moving)
    scale = math.sqrt(texture * other_texture)
    membrane = min(max(math.hypot(noise, other_noise) / math.sqrt(2), SMOOTHED_LEAST), SMOOTHED_MOST)
    return replace(similarity, membrane=membrane, features=lambda image: image / scale)


def _is_binary(image: Tensor | np.ndarray) -> bool:
    values = image.reshape(-1)[:: max(1, math.prod(image.shape) // CHOICE_VOXELS)]
    return len(torch.unique(values) if isinstance(values, Tensor) else np.unique(values)) < FEWEST_VALUES


def _shown_by_both(fixed: Tensor, moving: Tensor, mask: Tensor | None, voxels: int) -> tuple[np.ndarray, np.ndarray]:
    """The intensities of both images on about so many voxels, where both have contents; of all if that is nowhere."""
    block = max(1, round((fixed.numel() / voxels) ** (1 / 3)))
    reduction = [min(block, n) for n in fixed.shape[2:]]
    x, y = (_above_darkness(as_array(reduce_features(image, reduction)[0, 0].double())) for image in (fixed, moving))
    shown = (x > FOREGROUND) & (y > FOREGROUND)
    if mask is not None:
        shown &= as_array(reduce_features(mask, reduction).flatten()) > 0.999
    return (x[shown], y[shown]) if shown.sum() > 2 * CLASSES else (x, y)


def _above_darkness(array: np.ndarray) -> np.ndarray:
    """All values (I, J, K) of 0..1 in a row, inverted where the surroundings are bright: they are no contents."""
    return (1 - array if background_of(array) > 0.5 else array).ravel()


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(float(values.std()), 1e-9)


def _correlation_ratio(given: np.ndarray, other: np.ndarray) -> float:
    classes = np.clip((given * CLASSES).astype(int), 0, CLASSES - 1)
    count = np.bincount(classes, minlength=CLASSES)
    means = np.bincount(classes, other, minlength=CLASSES) / np.maximum(count, 1)
    spread = float(((means - other.mean()) ** 2 * count).sum() / max(count.sum(), 1))
    return spread / max(float(other.var()), 1e-12)


def _whole(image: Tensor) -> Tensor:
    return image


def _locally_normalised(image: Tensor) -> Tensor:
    windows = Windows(image.shape[2:], window_of(image.shape[2:]))
    count = windows.sums(torch.ones_like(image))
    mean, squares = windows.moments(image, count)
    return (image - mean) / (squares / count + NOISE).sqrt_()


def _standardised(image: Tensor) -> Tensor:
    shown = image[image > FOREGROUND]
    deviation = shown.std() if shown.numel() > 1 else image.std()
    return image / deviation.clamp(min=1e-3)


def _correlation_with(reference: Tensor) -> Pull:
    """-1/2 of squared local correlation of either sign; see `core.losses.ncc.ncc_map`, form "absolute".

    The moments of the unmoved image are computed once, which halves the sums over windows. Where there are fewer
    windows than voxels, each counts for several.
    """
    shape = reference.shape[2:]
    windows = windows_of(shape)
    noise = NOISE * math.prod(map(min, window_of(shape), shape))
    whole = windows.sums(torch.ones_like(reference))
    share = reference.numel() / whole.numel()

    def moments(image: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        mean, squares = windows.moments(image, count)
        return mean, squares.add_(noise)

    kept = moments(reference, whole)

    def pull(moved: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        own, count, (mean, variance) = reference, whole, kept
        if mask is not None:
            own, moved, count = reference * mask, moved * mask, windows.sums(mask).clamp_(min=1)
            mean, variance = moments(own, count)
        moved_mean, moved_variance = moments(moved, count)
        cross = windows.sums(own * moved).sub_(mean * moved_mean * count)
        size = cross.abs().add_(noise)
        by_cross = (size / variance).div_(moved_variance).mul_(share)
        agreement = size * by_cross
        by_cross *= cross.sign()
        by_variance = agreement / moved_variance
        if mask is not None:  # windows around voxels outside count nothing
            inside = windows.centres(mask)
            agreement, by_cross, by_variance = agreement * inside, by_cross * inside, by_variance * inside
        slope = windows.spread((by_cross * mean).addcmul_(by_variance, moved_mean, value=-1))
        slope.addcmul_(moved, windows.spread(by_variance)).addcmul_(own, windows.spread(by_cross), value=-1)
        return -0.5 * agreement.sum(), slope if mask is None else slope * mask

    return pull


def _difference_from(reference: Tensor) -> Pull:
    def pull(moved: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        difference = moved - reference
        if mask is not None:
            difference = difference * mask
        return 0.5 * difference.square().sum(), difference

    return pull


def _information_with(reference: Tensor) -> Pull:
    def pull(moved: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            moved = moved.detach().requires_grad_(True)
            energy = mutual_information_loss(reference, moved, mask=mask) * math.prod(moved.shape[2:])
            (slope,) = torch.autograd.grad(energy, moved)
        return energy.detach(), slope

    return pull


SIMILARITIES = {
    "ncc": Similarity("ncc", "local correlation", 0.15, 0.03, _whole, _locally_normalised, _correlation_with, 0.7),
    "mind": Similarity(
        "mind", "self-similarity descriptors (MIND)", 0.03, 0.1, mind_descriptor, _whole, _difference_from
    ),
    "mse": Similarity("mse", "squared difference", 0.05, 0.0, _standardised, _whole, _difference_from),
    "mi": Similarity("mi", "mutual information", 0.05, 0.05, _standardised, _whole, _information_with),
}
