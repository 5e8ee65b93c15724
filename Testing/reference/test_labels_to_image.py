"""Recorded images made of label maps, with the random parts off or as they were drawn."""

from __future__ import annotations

import pytest
import torch
from support.conformance import ReferenceCase, assert_within, cases
from support.layout import channels_first, channels_last
from VoxelMorphLib.synth.labels_to_image import LabelsToImage
from VoxelMorphLib.synth.labels_to_image_new import LabelsToImageNew

LABELS = (0, 2, 3, 7)


def drawn(case: ReferenceCase, name: str) -> torch.Tensor | None:
    return channels_first(case.outputs[name]) if name in case.outputs else None


def first(case: ReferenceCase):
    means = tuple(case.args["mean"])
    fixed = {"mean_min": means, "mean_max": means, "std_min": (0,) * 4, "std_max": (0,) * 4}
    off = {"zero_background": 0, "bias_std": 0, "gamma_std": 0, "warp_std": 0, "blur_std": 0}
    if "out_labels" in case.name:
        off |= {"out_labels": {0: 0, 2: 1, 7: 2}, "channels": 2, "blur_std": 1, "blur_modulate": False}
    generate = LabelsToImage(in_labels=LABELS, **fixed, **off)
    labels = channels_first(case.inputs["labels"])
    return generate(labels, [torch.Generator()] * len(labels), velocity=drawn(case, "vel"))


def later(case: ReferenceCase):
    means = tuple(case.args["mean"])
    off = {"warp_max": 0, "noise_max": 0, "blur_max": 0, "bias_max": 0, "gamma": 0, "noise_min": 0, "bias_min": 0}
    generate = LabelsToImageNew(
        in_labels=LABELS, mean_min=means, mean_max=means, half_res="half_res" in case.name, **off, warp_min=0
    )
    labels = channels_first(case.inputs["labels"])
    affine = torch.from_numpy(case.outputs["aff"].copy()) if "aff" in case.outputs else None
    return generate(labels, [torch.Generator()] * len(labels), velocity=drawn(case, "vel"), affine=affine)


@pytest.mark.parametrize("case", cases("C_functions", lambda case: case.family.startswith("labels_to_image")))
def test_images_of_labels(case: ReferenceCase) -> None:
    made = later(case) if "_new_" in case.name else first(case)
    image = made.image if "bias" not in case.outputs else made.mean * drawn(case, "bias")
    if "bias" in case.outputs:
        image = (image - image.min()) / (image.max() - image.min())
    results = {
        "image": channels_last(image),
        "map": channels_last(made.labels),
        "vel": None if made.velocity is None else channels_last(made.velocity),
        "def": None if made.displacement is None else channels_last(made.displacement),
        "aff": made.affine,
        "mean": channels_last(made.mean),
        "bias": case.outputs.get("bias"),
    }
    for name, expected in case.outputs.items():
        assert_within(results[name], expected, 1e-5)
