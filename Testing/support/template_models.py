"""Small models that keep a template, as files."""

from __future__ import annotations

from pathlib import Path

import torch
from VoxelMorphLib.core.attributes import Attribute
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.networks.conditional_template import ConditionalTemplateCreation
from VoxelMorphLib.networks.template import TemplateCreation
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model

from support.tiny_networks import TINY, filled

SHAPE = (8, 12, 8)
SPACE = NetworkSpace(2.0, "LIA", SHAPE, 4)
AGE, SEX = Attribute("age", "years", 20.0, 90.0, 55.0, 10.0), Attribute("sex", "", 0.0, 1.0, 0.5, 0.5)
ARGUMENTS = {"shape": list(SHAPE), "features": [list(part) for part in TINY], "int_steps": 2}
GENERATED = {**ARGUMENTS, "attributes": 2, "generator_features": 2, "extra_convolutions": 1}


def a_template_entry(**values: object) -> ModelEntry:
    known = {"id": "atlas", "title": "Atlas", "description": "For tests.", "space": SPACE, "format": "safetensors"}
    return ModelEntry(**{**known, "file": "atlas.safetensors", **values})


def write_template_model(path: Path) -> TemplateCreation:
    """Write a model with one template; gives its network."""
    network = filled(TemplateCreation(**ARGUMENTS))
    network.start_from(torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0)))
    write_model(network, a_template_entry(architecture="TemplateCreation", arguments=ARGUMENTS), path)
    return network


def write_conditional_model(path: Path) -> ConditionalTemplateCreation:
    """Write a model whose template depends on age and sex; gives its network."""
    network = filled(ConditionalTemplateCreation(**GENERATED))
    network.start_from(torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0)))
    entry = a_template_entry(
        architecture="ConditionalTemplateCreation", arguments=GENERATED, attributes=(AGE, SEX), title="Atlas by age"
    )
    write_model(network, entry, path)
    return network
