"""Mean intensities of labels that look nearly alike."""

from __future__ import annotations

import numpy as np
import torch
from VoxelMorphLib.synth.tissues import tissue_means

LABELS = (0, 2, 3, 4, 17)


def drawn(tissues) -> np.ndarray:
    generators = (torch.Generator().manual_seed(seed) for seed in range(400))
    return np.array([tissue_means(LABELS, tissues, random) for random in generators])


def test_labels_of_one_tissue_look_nearly_alike_and_others_as_they_will():
    means = drawn([(3, 17), (2,)])
    assert means.min() >= 0 and means.max() <= 1
    cortex, hippocampus, white, other = means[:, 2], means[:, 4], means[:, 1], means[:, 3]
    assert np.corrcoef(cortex, hippocampus)[0, 1] > 0.85
    assert abs(np.corrcoef(cortex, other)[0, 1]) < 0.2
    assert np.corrcoef(cortex, white)[0, 1] < 0.7
    assert abs(means[:, 3].mean() - 0.5) < 0.05


def test_without_tissues_all_labels_look_as_they_will():
    assert np.abs(np.corrcoef(drawn([]).T) - np.eye(len(LABELS))).max() < 0.2


def test_a_seed_decides():
    first, second, other = (tissue_means(LABELS, [(2, 3)], torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert first == second != other
