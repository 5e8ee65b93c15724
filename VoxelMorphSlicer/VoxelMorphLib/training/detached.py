"""A training without the files that its network started from, for whoever only needs a network of that form."""

from __future__ import annotations

import dataclasses

import torch

from .config import TrainingConfig
from .data.facts import DataFacts


def detached(config: TrainingConfig, facts: DataFacts, atlas_labels: int) -> tuple[TrainingConfig, DataFacts]:
    """The same configuration and facts with a flat atlas in place of `prob_atlas`, and no `init_weights`.

    What `init_stat` holds is read again only where the facts do not keep it, as in old checkpoints.

    Args:
        config: of the training.
        facts: about its data.
        atlas_labels: channels of the probabilistic atlas; without meaning where the configuration names none.
    """
    files = {"prob_atlas", "init_weights"} | ({"init_stat"} if facts.intensities else set())
    names = files & {field.name for field in dataclasses.fields(config)}
    if getattr(config, "prob_atlas", ""):
        flat = torch.full((atlas_labels, *facts.shape), 1 / atlas_labels)
        facts = dataclasses.replace(facts, label_mean=flat, atlas_labels=None)
    return dataclasses.replace(config, **dict.fromkeys(names, "")), facts
