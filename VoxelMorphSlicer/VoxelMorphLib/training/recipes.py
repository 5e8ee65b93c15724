"""The kinds of training: their table, and their configurations as JSON.

The name of a recipe and the values of its configuration are what commands, scenes and checkpoints store.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError
from ..core.options import Option, check_choice, options_of
from .image_recipes import (
    AtlasConfig,
    AtlasSegmentationConfig,
    BidirectionalConfig,
    ConditionalTemplateConfig,
    HyperMorphConfig,
    InstanceConfig,
    PairwiseConfig,
    ProbabilisticConfig,
    SemiSupervisedConfig,
    SurfacesConfig,
    TemplateConfig,
)
from .options import TrainingConfig
from .single_image_recipes import SynthMorphBordersConfig, SynthMorphStructuresConfig
from .synthmorph_recipes import (
    SynthMorphAffineConfig,
    SynthMorphJointConfig,
    SynthMorphLabelsConfig,
    SynthMorphShapesConfig,
)

if TYPE_CHECKING:
    from .data.case import DatasetInfo
    from .task import Task


@dataclass(frozen=True)
class Recipe:
    """One kind of training.

    Args:
        title: what a person chooses from a list.
        description: one line on what it makes of which data.
        config: class of its configuration; its `recipe` is the name.
        task: "module:Class" in `tasks`, so that listing recipes imports no torch.
    """

    title: str
    description: str
    config: type[TrainingConfig]
    task: str

    @property
    def name(self) -> str:
        """What `--recipe` takes."""
        return self.config.recipe


_ALL = (
    Recipe(
        "Pairs of images",
        "Registers any two images of a list; needs images alone.",
        PairwiseConfig,
        "registration:RegistrationTask",
    ),
    Recipe(
        "Images with an atlas",
        "Registers every image of a list with one atlas.",
        AtlasConfig,
        "registration:AtlasTask",
    ),
    Recipe(
        "Pairs in both directions",
        "Registers any two images of a list and compares them in both directions.",
        BidirectionalConfig,
        "registration:RegistrationTask",
    ),
    Recipe(
        "Distribution of velocities",
        "Registers any two images of a list and predicts how certain each velocity is.",
        ProbabilisticConfig,
        "registration:ProbabilisticTask",
    ),
    Recipe(
        "Pairs with label maps",
        "Registers images, trained with the overlap of their label maps too.",
        SemiSupervisedConfig,
        "semisupervised:SemiSupervisedTask",
    ),
    Recipe(
        "Pairs with surfaces",
        "Registers images, trained with the distance between the surfaces of their labels too.",
        SurfacesConfig,
        "surfaces:SurfacesTask",
    ),
    Recipe(
        "Pairs, smoothness chosen later",
        "Registers any two images of a list with one network for every weight of smoothness.",
        HyperMorphConfig,
        "hypermorph:HyperMorphTask",
    ),
    Recipe(
        "Template",
        "Makes a sharp template in the middle of all images of a list, and registers it.",
        TemplateConfig,
        "template:TemplateTask",
    ),
    Recipe(
        "Template by attributes",
        "Makes a template that depends on numbers such as age, and registers it.",
        ConditionalTemplateConfig,
        "template:ConditionalTemplateTask",
    ),
    Recipe(
        "Segmentation by an atlas",
        "Learns to label images with a probabilistic atlas; needs no labels of the images.",
        AtlasSegmentationConfig,
        "atlas_segmentation:AtlasSegmentationTask",
    ),
    Recipe(
        "Any contrast, from label maps",
        "Registers images of any contrast, trained on images that are made of label maps; needs label maps alone.",
        SynthMorphLabelsConfig,
        "synthmorph:SynthMorphLabelsTask",
    ),
    Recipe(
        "Any contrast, from random shapes",
        "Registers images of any contrast and anatomy, trained on images of random shapes; needs no data.",
        SynthMorphShapesConfig,
        "synthmorph:SynthMorphShapesTask",
    ),
    Recipe(
        "Affine maps of any contrast, from label maps",
        "Finds affine or rigid maps of images of any contrast, trained on images that are made of label maps.",
        SynthMorphAffineConfig,
        "synthmorph_affine:SynthMorphAffineTask",
    ),
    Recipe(
        "Any contrast, smoothness chosen later, from label maps",
        "Registers images of any contrast with one network for every weight of smoothness, after a given affine one.",
        SynthMorphJointConfig,
        "synthmorph_joint:SynthMorphJointTask",
    ),
    Recipe(
        "Structures of any contrast, from label maps",
        "Finds structures in images of any contrast, by which pairs are registered; needs label maps alone.",
        SynthMorphStructuresConfig,
        "synthmorph_structures:SynthMorphStructuresTask",
    ),
    Recipe(
        "Borders of any contrast, from random shapes",
        "Finds borders in images of any contrast and anatomy, by which pairs are registered; needs no data.",
        SynthMorphBordersConfig,
        "synthmorph_borders:SynthMorphBordersTask",
    ),
    Recipe(
        "One pair",
        "Fits the deformation of one pair of images to it, from zero or from a network's result.",
        InstanceConfig,
        "instance:InstanceTask",
    ),
)

#: By name, in the order in which they are offered.
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
#: The recipe where nobody chose one.
DEFAULT_RECIPE = "pairwise"


def make_config(recipe: str, values: dict[str, Any]) -> TrainingConfig:
    """The configuration of a recipe; what `values` does not name keeps its default.

    Raises:
        ConfigError: unknown recipe or option, or an impossible value.
    """
    check_choice("recipe", recipe, tuple(RECIPES))
    return RECIPES[recipe].config.from_dict(values)


def all_options() -> dict[str, Option]:
    """The options of all recipes by field name; of a field that several describe, what the last one says."""
    return {name: option for recipe in RECIPES.values() for name, option in options_of(recipe.config).items()}


def config_json(config: TrainingConfig) -> str:
    """The file that `--config` reads."""
    return json.dumps({"recipe": config.recipe, **config.to_dict()}, indent=2)


def config_of_json(text: str, source: str) -> TrainingConfig:
    """The configuration that `config_json` wrote, or a person changed.

    Args:
        text: one JSON object; options that it leaves out have their defaults.
        source: what a sentence calls it.

    Raises:
        ConfigError: the text is no such object, or an option is unknown or impossible.
    """
    values = json_values(text, source)
    return make_config(values.pop("recipe", DEFAULT_RECIPE), values)


def json_values(text: str, source: object) -> dict[str, Any]:
    """The values of a configuration's JSON, the recipe's name among them.

    Args:
        text: one JSON object.
        source: what a sentence calls it.

    Raises:
        ConfigError: the text is no such object, or there is no such recipe.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(source, error) from error
    if not isinstance(values, dict):
        raise ConfigError(f"The configuration {source} must be one JSON object, got {type(values).__name__}.")
    config_class(values.get("recipe", DEFAULT_RECIPE))
    return values


def unreadable(source: object, error: Exception) -> ConfigError:
    """The sentence about a configuration that cannot be read."""
    return ConfigError(f"The configuration {source} cannot be read ({error}). Correct or replace it.")


def config_class(recipe: Any) -> type[TrainingConfig]:
    """The configuration class of a recipe that a file or a scene names.

    Raises:
        ConfigError: there is no such recipe.
    """
    if recipe not in list(RECIPES):
        raise ConfigError(f"There is no recipe {recipe!r}. Choose one of {', '.join(RECIPES)}.")
    return RECIPES[recipe].config


def task_class(recipe: str) -> type[Task]:
    """The class of a recipe's task.

    Raises:
        ConfigError: unknown recipe.
    """
    check_choice("recipe", recipe, tuple(RECIPES))
    module, name = RECIPES[recipe].task.split(":")
    return getattr(importlib.import_module(f".tasks.{module}", __package__), name)


def make_task(config: TrainingConfig, info: DatasetInfo) -> Task:
    """The recipe of a configuration at work on some data.

    Raises:
        ConfigError: the data lack what the recipe needs.
    """
    return task_class(config.recipe)(config, info)
