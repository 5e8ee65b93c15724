"""All recipes by name; the name and the values of the configuration are what commands and checkpoints store."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.options import check_choice
from .config import TrainingConfig
from .recipes.atlas import AtlasConfig
from .recipes.atlas_segmentation import AtlasSegmentationConfig
from .recipes.bidirectional import BidirectionalConfig
from .recipes.conditional_template import ConditionalTemplateConfig
from .recipes.hypermorph import HyperMorphConfig
from .recipes.instance import InstanceConfig
from .recipes.pairwise import PairwiseConfig
from .recipes.probabilistic import ProbabilisticConfig
from .recipes.semisupervised import SemiSupervisedConfig
from .recipes.surfaces import SurfacesConfig
from .recipes.template import TemplateConfig

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
        "One pair",
        "Fits the deformation of one pair of images to it, from zero or from a network's result.",
        InstanceConfig,
        "instance:InstanceTask",
    ),
)

#: By name, in the order in which they are offered.
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}


def make_config(recipe: str, values: dict[str, Any]) -> TrainingConfig:
    """The configuration of a recipe; what `values` does not name keeps its default.

    Raises:
        ConfigError: unknown recipe or option, or an impossible value.
    """
    check_choice("recipe", recipe, tuple(RECIPES))
    return RECIPES[recipe].config.from_dict(values)


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
