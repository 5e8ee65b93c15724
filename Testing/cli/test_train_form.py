"""The form of the train command is what the recipes say; untouched, it trains with the recipe's defaults."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from cli_forms import FOLDER
from VoxelMorphLib.cli.train import form_defaults, parser, read_config
from VoxelMorphLib.core.options import options_of
from VoxelMorphLib.training.options import TrainingConfig
from VoxelMorphLib.training.recipes import RECIPES, all_options, make_config

FORM = ElementTree.parse(FOLDER / "VoxelMorphTrain.xml")
NAMED = [element for element in FORM.iter() if element.find("name") is not None]
PARAMETERS = {element.findtext("name"): element for element in NAMED}
OPTIONS = all_options()


def passed_by_slicer(changed):
    """The arguments of a form: flags where they are set, everything else where it is not empty."""
    argv = []
    for name, element in PARAMETERS.items():
        text = changed.get(name, element.findtext("default") or "")
        if element.tag == "boolean":
            argv += [f"--{name}"] * (text == "true")
        elif text:
            argv += [f"--{name}", text]
    return argv


def test_every_option_of_the_command_is_in_the_form():
    known = {action.option_strings[0].lstrip("-") for action in parser()._actions}
    assert set(PARAMETERS) == known - {"h", "version", "returnparameterfile"}


def test_every_shared_field_stands_in_its_group():
    groups = {group.findtext("label"): group for group in FORM.iter("parameters")}
    for option in options_of(TrainingConfig).values():
        title = f"{option.group}: more" if option.advanced else option.group
        assert PARAMETERS[option.name] in list(groups.get(title, groups[option.group]))


def test_what_is_needed_often_stands_first_and_the_rest_is_closed():
    closed = [group.get("advanced") == "true" for group in FORM.iter("parameters")]
    assert closed == sorted(closed) and not all(closed)
    shown = [group.findtext("label") for group in FORM.iter("parameters") if group.get("advanced") != "true"]
    assert shown == ["Recipe", "Data", "Losses", "Optimisation", "Output"]


def test_what_is_open_is_what_most_trainings_need():
    shown = [group for group in FORM.iter("parameters") if group.get("advanced") != "true"]
    names = [element.findtext("name") for group in shown for element in group if element.get("hidden") != "true"]
    names = [name for name in names if name]
    assert {"imageList", "labelList", "imageLoss", "smoothness", "epochs", "lr", "outputDir", "model"} <= set(names)
    assert not {"imagePrefix", "mergeLabels", "nccForm", "ema", "modelLicence"} & set(names)
    assert len(names) <= 25


def test_defaults_are_those_of_the_pairwise_recipe():
    for field, value in form_defaults("pairwise").items():
        option, text = OPTIONS[field], PARAMETERS[OPTIONS[field].name].findtext("default") or ""
        assert (option.parse(text) if option.kind is not str else text) == value
    shared = make_config("pairwise", {}).to_dict()
    assert {field: form_defaults("pairwise")[field] for field in shared} == shared


def test_limits_are_accepted():
    for field, option in options_of(TrainingConfig).items():
        limits = PARAMETERS[option.name].find("constraints")
        for tag in () if limits is None else ("minimum", "maximum"):
            make_config("pairwise", {field: option.kind(float(limits.findtext(tag)))})


#: Intensities cannot follow from a deformed atlas that is not there.
BOTH_OFF = ["--statPostWarp", "false"]


def test_choices_are_accepted():
    for field, option in OPTIONS.items():
        recipe = next(name for name, recipe in RECIPES.items() if field in options_of(recipe.config))
        for choice in PARAMETERS[option.name].findall("element"):
            words = ["--recipe", recipe, f"--{option.name}", choice.text]
            read_config(parser().parse([*words, *BOTH_OFF] if words[2:] == ["--warpAtlas", "false"] else words))


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_untouched_form_has_the_defaults_of_the_chosen_recipe(recipe, tmp_path):
    given = passed_by_slicer({"recipe": recipe, "outputDir": str(tmp_path)})
    assert read_config(parser().parse(given)) == make_config(recipe, {"output_dir": str(tmp_path)})


def test_what_is_changed_in_the_form_counts(tmp_path):
    changed = {"recipe": "hypermorph", "outputDir": str(tmp_path), "epochs": "3", "flips": "true", "encoder": "4,8"}
    config = read_config(parser().parse(passed_by_slicer(changed)))
    assert config == make_config(
        "hypermorph", {"output_dir": str(tmp_path), "epochs": 3, "flips": True, "encoder": (4, 8)}
    )
