"""How sharp and how central a template of the hippocampus data is, and whether one by volume grows with it.

python -m benchmarks.hippocampus_template MODEL [--picture FILE.png]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.networks.conditional_template import ConditionalTemplateCreation
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.training.data.case import Case
from VoxelMorphLib.training.data.space import Prepared, TrainingSpace
from VoxelMorphLib.weights.load import load_network

from .hippocampus import DATA, LABELS, case_file

CASES = 60
#: Standard deviations of the label volume.
ATTRIBUTES = (-2.0, -1.0, 0.0, 1.0, 2.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure a template model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hippocampus_template", description=__doc__)
    parser.add_argument("model", help="weights file of a template")
    parser.add_argument("--picture", type=Path, help="output: the middle slices of mean and templates")
    arguments = parser.parse_args(argv)
    network, entry = load_network(arguments.model)
    names = json.loads((DATA / "train_cases.json").read_text())[:CASES]
    space = TrainingSpace(entry.space, LABELS)
    cases = [space.prepare(Case(name, case_file("images", name), case_file("labels", name))) for name in names]
    mean = torch.stack([case.image for case in cases]).mean(0)
    conditional = isinstance(network, ConditionalTemplateCreation)
    templates = {value: template_of(network, value) for value in (ATTRIBUTES if conditional else (0.0,))}
    print(f"gradient energy: mean of {CASES} images {energy(mean):.5f}, template {energy(templates[0.0]):.5f}")
    for value, template in templates.items():
        central, volume = _placed(network, template, cases)
        print(
            f"attribute {value:+.0f}: mean displacement of the images onto the template {central:.3f} voxels, "
            f"volume of the labels there {volume:.0f} voxels"
        )
    if arguments.picture:
        _draw(arguments.picture, {"mean": mean, **{f"template {value:+.0f}": t for value, t in templates.items()}})
    return 0


def template_of(network: nn.Module, attribute: float) -> Tensor:
    """(C, *shape)."""
    with torch.inference_mode():
        if isinstance(network, ConditionalTemplateCreation):
            return network.template(torch.full((1, 1), attribute))[0]
        return network.template.clone()


def energy(image: Tensor) -> float:
    """Mean squared length of the gradient."""
    return float(sum(torch.diff(image, dim=axis).square().mean() for axis in (1, 2, 3)))


def _placed(network: nn.Module, template: Tensor, cases: Sequence[Prepared]) -> tuple[float, float]:
    """Mean length of the cases' mean displacement onto the template, and the labels' volume on it."""
    fields, labels = [], []
    with torch.inference_mode():
        for case in cases:
            pair = VxmDense.fields(network, template[None], case.image[None])
            fields.append(pair.inverse)
            labels.append(warp((case.labels > 0).float()[None], pair.inverse))
    length = torch.stack(fields).mean(0).norm(dim=1)
    inside = torch.stack(labels).mean(0)
    return float(length.mean()), float((inside > 0.5).sum())


def _draw(path: Path, images: dict[str, Tensor]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.2 * len(images), 3), facecolor="black")
    for axes, (name, image) in zip(np.atleast_1d(figure.subplots(1, len(images))), images.items()):
        axes.imshow(image[0, image.shape[1] // 2].T, cmap="gray", origin="lower", vmin=0, vmax=1)
        axes.set_title(name, color="white", fontsize=9)
        axes.axis("off")
    figure.savefig(path, bbox_inches="tight")


if __name__ == "__main__":
    raise SystemExit(main())
