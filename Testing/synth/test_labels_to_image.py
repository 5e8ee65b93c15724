"""Images that are made of label maps: their distributions, seeds, labels, and extreme or impossible options."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.synth.labels_to_image import LabelsToImage
from VoxelMorphLib.synth.labels_to_image_new import LabelsToImageNew

LABELS = (0, 3, 7, 1000)
BOTH = pytest.mark.parametrize("generator", [LabelsToImage, LabelsToImageNew])


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def maps(count: int = 1, shape: tuple[int, ...] = (12, 14, 10)) -> torch.Tensor:
    """Layers of all labels along the first axis."""
    layers = torch.tensor(LABELS)[torch.arange(shape[0]) * len(LABELS) // shape[0]]
    return layers.view(1, 1, -1, *(1 for _ in shape[1:])).expand(count, 1, *shape).clone()


def still(generator, **options):
    """Without deformation, noise, blur, bias and gamma."""
    if generator is LabelsToImage:
        off = {"warp_std": 0, "blur_std": 0, "bias_std": 0, "gamma_std": 0, "zero_background": 0}
        off |= {"std_min": (0,) * 4, "std_max": (0,) * 4}
    else:
        off = dict.fromkeys(("warp_max", "blur_max", "bias_max", "noise_min", "noise_max", "gamma"), 0)
        off |= {"warp_min": 0, "bias_min": 0}
    return generator(**{"in_labels": LABELS, **off, **options})


@BOTH
def test_a_seed_fixes_a_sample_whatever_its_neighbours(generator):
    make = generator(in_labels=LABELS)
    both, alone = make(maps(2), generators(1, 2)), make(maps(), generators(2))
    for name in ("image", "labels", "velocity", "displacement", "mean", "bias"):
        torch.testing.assert_close(getattr(both, name)[1:], getattr(alone, name), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(both.image[0], both.image[1])


@BOTH
def test_a_fixed_part_is_the_same_in_all_samples(generator):
    made = generator(in_labels=LABELS)(maps(2), generators(1, 2), seeds={"warp": 5})
    assert torch.equal(made.velocity[0], made.velocity[1]) and not torch.equal(made.bias[0], made.bias[1])


@BOTH
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.float32])
def test_labels_of_any_type_and_numbering_are_found(generator, dtype):
    labels = maps() % 256
    known = (0, 3, 7, 1000 % 256)
    made = still(generator, in_labels=known)(labels.to(dtype), generators(0))
    assert torch.equal(torch.tensor(known)[made.labels.argmax(1)], labels[:, 0])
    assert made.labels.shape[1] == len(known) and made.labels.sum(1).eq(1).all()


@BOTH
def test_labels_are_merged_listed_or_returned_as_numbers(generator):
    merged = still(generator, out_labels={3: 1, 7: 1, 1000: 2})(maps(), generators(0))
    assert torch.equal(merged.labels[:, 0], (maps()[:, 0] == 3).float() + (maps()[:, 0] == 7).float())
    numbers = still(generator, out_labels={3: 1, 7: 1, 1000: 2}, one_hot=False)(maps(), generators(0))
    assert numbers.labels.unique().tolist() == [0, 1, 2]
    listed = still(generator, out_labels=[7])(maps(), generators(0))
    assert torch.equal(listed.labels, (maps() == 7).float())


def test_intensities_of_the_first_generator_have_the_limits_of_the_original():
    made = still(LabelsToImage, normalize=False)(maps(500, (8, 4)), generators(*range(500)))
    background, others = made.image[:, 0, 0, 0], made.image[:, 0, 2::2, 0]
    assert background.min() < 10 and background.max() > 215 and abs(background.mean() - 112.5) < 9
    assert others.min() >= 25 and others.max() <= 225 and abs(others.mean() - 125) < 5
    assert abs(others.std() - 200 / 12**0.5) < 3


def test_noise_of_the_first_generator_has_the_limits_of_the_original():
    make = still(LabelsToImage, normalize=False, std_min=(), std_max=(), mean_min=(120,) * 4, mean_max=(120,) * 4)
    spread = make(maps(200, (8, 60)), generators(*range(200))).image[:, 0].std(2)
    assert spread[:, 0].min() < 2 and 20 < spread[:, 0].max() < 31
    assert spread[:, 2:].min() > 3.5 and spread[:, 2:].max() < 33 and abs(spread[:, 2:].mean() - 15) < 1


def test_the_background_is_empty_in_the_given_share():
    make = still(LabelsToImage, zero_background=0.2, normalize=False, channels=2)
    empty = (make(maps(300, (8, 4)), generators(*range(300))).image[:, :, 0, 0] == 0).float().mean()
    assert abs(empty - 0.2) < 0.05


def test_gamma_and_offset_of_the_first_generator():
    plain = still(LabelsToImage)(maps(300, (8, 4)), generators(*range(300))).image
    bent = still(LabelsToImage, gamma_std=0.25)(maps(300, (8, 4)), generators(*range(300))).image
    inside = (plain > 0.05) & (plain < 0.95)
    logs = (bent[inside].log() / plain[inside].log()).log()
    assert abs(logs.mean()) < 0.05 and abs(logs.std() - 0.25) < 0.04
    shifted = still(LabelsToImage, dc_offset=0.5)(maps(300, (8, 4)), generators(*range(300))).image - plain
    assert shifted.min() >= 0 and 0.45 < shifted.max() <= 0.5


def test_the_velocity_is_as_strong_and_smooth_as_asked():
    make = LabelsToImage(in_labels=LABELS, warp_std=3.0, warp_res=(8,))
    made = make(maps(100, (32, 32)), generators(*range(100)))
    assert made.velocity.shape == (100, 2, 16, 16) and made.displacement.shape == (100, 2, 32, 32)
    points = made.velocity[..., [0, -1]][:, :, [0, -1]].flatten(1)  # corners are points of the noise
    assert abs(points.std(1).mean() - 1.5) < 0.3 and abs(points.mean()) < 0.2
    assert made.velocity.diff(n=2, dim=3).abs().mean() < 0.5 * made.velocity.abs().mean()


def test_a_smaller_output_is_cut_from_the_middle_or_from_the_corner():
    labels = maps()
    centre = still(LabelsToImage, out_shape=(6, 6, 6), one_hot=False)(labels, generators(0)).labels
    corner = still(LabelsToImage, out_shape=(6, 6, 6), one_hot=False, crop="corner")(labels, generators(0)).labels
    assert torch.equal(centre, labels[:, :, 3:9, 4:10, 2:8]) and torch.equal(corner, labels[:, :, :6, :6, :6])
    new = still(LabelsToImageNew, out_shape=(6, 6, 6), one_hot=False)(labels, generators(0)).labels
    assert torch.equal(new, labels[:, :, 3:9, 4:10, 2:8])


def test_affine_maps_of_the_later_generator_have_their_limits():
    make = still(LabelsToImageNew, aff_shift=4, aff_rotate=20, aff_scale=0.1)
    affine = make(maps(300, (8, 8)), generators(*range(300))).affine
    shifts, angles = affine[:, :2, 2], torch.rad2deg(torch.atan2(affine[:, 1, 0], affine[:, 0, 0]))
    assert 3.8 < shifts.max() <= 4 and -4 <= shifts.min() < -3.8 and abs(shifts.mean()) < 0.3
    assert 18 < angles.max() <= 20.01 and abs(angles.std() - 20 / 3**0.5) < 1
    sizes = affine[:, :2, 0].norm(dim=1)
    assert 0.899 < sizes.min() < 0.92 and 1.08 < sizes.max() < 1.101
    normal = still(LabelsToImageNew, aff_shift=4, aff_normal_shift=True)(maps(300, (8, 8)), generators(*range(300)))
    assert abs(normal.affine[:, :2, 2].std() - 4) < 0.5


def test_axes_are_mirrored_and_exchanged():
    square = maps(64, (8, 8))
    flipped = still(LabelsToImageNew, axes_flip=True, one_hot=False)(square, generators(*range(64))).labels
    mirrored = [bool((item == square[0].flip(1)).all()) for item in flipped]
    assert 16 < sum(mirrored) < 48
    swapped = still(LabelsToImageNew, axes_swap=True, one_hot=False)(square, generators(*range(64))).labels
    exchanged = [bool((item == square[0].transpose(1, 2)).all()) for item in swapped]
    assert 16 < sum(exchanged) < 48


def test_labels_of_one_class_have_one_intensity():
    make = still(LabelsToImageNew, in_labels={0: 0, 3: 1, 7: 2, 1000: 1})
    mean = make(maps(20, (8, 4)), generators(*range(20))).mean
    assert torch.equal(mean[:, :, 2], mean[:, :, 6]) and not torch.equal(mean[:, :, 2], mean[:, :, 4])
    assert mean.min() >= 0 and mean.max() <= 1


def test_bias_noise_and_gamma_of_the_later_generator():
    made = LabelsToImageNew(in_labels=LABELS)(maps(60, (24, 24)), generators(*range(60)))
    peaks = made.bias.log().amax((1, 2, 3))
    assert peaks.min() > 0.0099 and peaks.max() < 0.1001 and abs(peaks.mean() - 0.055) < 0.01
    noisy = still(LabelsToImageNew, noise_min=0.1, noise_max=0.2, normalize=False)
    made = noisy(maps(60, (24, 24)), generators(*range(60)))
    share = (made.image - made.mean).flatten(1).std(1) / made.mean.flatten(1).amax(1)
    assert share.min() > 0.085 and share.max() < 0.215


def test_half_resolution_takes_every_second_voxel():
    made = still(LabelsToImageNew, half_res=True, one_hot=False)(maps(), generators(0))
    assert torch.equal(made.labels, maps()[:, :, ::2, ::2, ::2])


@BOTH
@pytest.mark.parametrize("dims", [2, 3])
def test_a_thousand_extreme_samples_are_finite(generator, dims):
    """250 seeds for each generator and dimension, every item with the strongest options."""
    shape = (8, 10, 8)[:dims]
    if generator is LabelsToImage:
        extreme = {"warp_std": 200, "warp_res": (1, 4), "bias_std": 50, "blur_std": 20, "gamma_std": 20, "dc_offset": 9}
    else:
        extreme = {"warp_max": 200, "bias_max": 80, "bias_min": 0, "blur_max": 20, "gamma": 0.99, "noise_max": 50}
        extreme |= {"aff_shift": 30, "aff_rotate": 180, "aff_scale": 2, "aff_shear": 3, "axes_flip": True}
        extreme |= {"crop_prob": 1, "crop_max": 0.99, "slice_prob": 1, "slice_stride_max": 99}
    make = generator(in_labels=LABELS, channels=2, **extreme)
    for first in range(0, 250, 50):
        made = make(maps(50, shape), generators(*range(first, first + 50)))
        for value in (made.image, made.labels, made.displacement):
            assert value.isfinite().all()
        assert made.image.min() >= 0


@BOTH
def test_a_map_without_any_known_label_is_background(generator):
    made = generator(in_labels=LABELS, out_labels=[3])(torch.full((1, 1, 8, 8), 55), generators(0))
    assert made.image.isfinite().all() and not made.labels.any()


@BOTH
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"in_labels": ()}, "The list of input labels is empty"),
        ({"in_labels": (0, -3)}, "The list of input labels has -3"),
        ({"in_labels": (0, 1.5)}, "The list of input labels has 1.5"),
        ({"in_labels": (0, 3), "out_labels": []}, "The list of output labels is empty"),
        ({"in_labels": (0, 3), "out_labels": [4]}, "The output labels name 4, which is not among the labels"),
        ({"in_labels": (0, 3), "mean_min": (1,)}, "mean_min has 1 values for 2"),
    ],
)
def test_impossible_options_are_refused(generator, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        generator(**options)


@pytest.mark.parametrize(
    "options", [{"warp_std": -1}, {"gamma_std": float("nan")}, {"zero_background": 2}, {"crop": "top"}]
)
def test_impossible_strengths_of_the_first_generator_are_refused(options):
    with pytest.raises(ConfigError, match=r"Give finite numbers|choose"):
        LabelsToImage(in_labels=LABELS, **options)


@pytest.mark.parametrize(
    "options", [{"gamma": 1}, {"crop_max": 1}, {"slice_stride_min": 0}, {"warp_min": 3}, {"noise_max": float("inf")}]
)
def test_impossible_strengths_of_the_later_generator_are_refused(options):
    with pytest.raises(ConfigError, match=r"[Gg]ive"):
        LabelsToImageNew(in_labels=LABELS, **options)


@BOTH
def test_maps_that_cannot_be_used_are_refused(generator):
    make = generator(in_labels=LABELS)
    with pytest.raises(GeometryError, match="a generator for each"):
        make(maps(2), generators(0))
    with pytest.raises(GeometryError, match="lies within them"):
        generator(in_labels=LABELS, out_shape=(20, 8, 8))(maps(), generators(0))
    with pytest.raises(ConfigError, match="not whole"):
        make(maps() + 0.5, generators(0))
