"""A field that is described once is checked, parsed, written and read accordingly."""

from __future__ import annotations

import argparse
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import pytest
from forms.register import register_form
from VoxelMorphLib.cli.common import Parser
from VoxelMorphLib.cli.options import add_options, given_options
from VoxelMorphLib.core.config import RegistrationOptions, Settings
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.options import changed_options, option, options_of


@dataclass(frozen=True)
class Recipe(Settings):
    """One field of every kind."""

    flavour: str = option("plain", "how it tastes", choices={"plain": "Plain", "sweet": "Sweet"}, group="Taste")
    portions_per_day: int = option(2, "see `weight_g`", low=1, high=9, name="portions")
    weight_g: float = option(1.5, "of one portion. 5 % may be lacking", low=0, high=4, unit="g", aliases=("mass",))
    spices: tuple[int, ...] = option((1, 2), "their numbers")
    cold: bool = option(False, "serve from the fridge")
    limit: float | None = option(None, "by default there is none", low=0, high=1)
    undescribed: dict | None = None


@dataclass(frozen=True)
class Soup(Recipe):
    """Another default, and another description."""

    portions_per_day: int = 4
    weight_g: float = option(2.0, "of one bowl", low=1, high=3)


@dataclass(frozen=True)
class MoreOptions(RegistrationOptions):
    """Registration with one more option."""

    trial: str = option(
        "none", "fit the result of the network to the pair", choices={"none": "Not at all", "fast": "Fast"}
    )


def parsed(config, *words):
    parser = Parser(prog="made-up")
    add_options(parser, options_of(config))
    return config(**given_options(parser.parse(words), options_of(config)))


def test_an_option_is_completed_from_the_dataclass():
    options = options_of(Recipe)
    assert list(options) == ["flavour", "portions_per_day", "weight_g", "spices", "cold", "limit"]
    weight = options["weight_g"]
    assert (weight.field, weight.name, weight.title, weight.kind, weight.default) == (
        "weight_g",
        "weightG",
        "Weight g",
        float,
        1.5,
    )
    assert options["portions_per_day"].name == "portions"
    assert (options["spices"].kind, options["spices"].is_list) == (int, True)
    assert (options["limit"].kind, options["limit"].optional) == (float, True)


def test_a_subclass_that_changes_a_default_keeps_the_description():
    assert options_of(Soup)["portions_per_day"].default == 4
    assert options_of(Soup)["portions_per_day"].name == "portions"
    assert Soup().portions_per_day == 4
    with pytest.raises(ConfigError, match="portions_per_day is 10; choose a number from 1 to 9"):
        Soup(portions_per_day=10)


def test_a_subclass_may_describe_a_field_anew():
    assert options_of(Soup)["weight_g"].help == "of one bowl"
    assert Recipe(weight_g=4).weight_g == 4
    with pytest.raises(ConfigError, match="weight_g is 4; choose a number from 1 to 3"):
        Soup(weight_g=4)


WRONG = [
    ({"flavour": "bitter"}, "flavour is 'bitter'; choose one of plain, sweet"),
    ({"portions_per_day": 0}, "portions_per_day is 0; choose a number from 1 to 9"),
    ({"portions_per_day": 1.5}, "portions_per_day is 1.5; give a whole number"),
    ({"weight_g": float("nan")}, "weight_g is nan; choose a number from 0 to 4"),
    ({"weight_g": "much"}, "weight_g is 'much'; choose a number from 0 to 4"),
    ({"spices": 1}, "spices is 1; give a list, each item a whole number"),
    ({"spices": ("1",)}, r"spices is \('1',\); give a list, each item a whole number"),
    ({"cold": 1}, "cold is 1; give true or false"),
    ({"limit": 2}, "limit is 2; choose a number from 0 to 1"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_impossible_values_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Recipe(**values)


def test_json_gives_equal_settings_back():
    recipe = Recipe("sweet", 3, 0.5, (7,), True, 0.25)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"weight_g": "much"}', "weight_g is 'much'; give a number"),
        ('{"portions_per_day": true}', "portions_per_day is True; give a whole number"),
        ('{"cold": "yes"}', "cold is 'yes'; give true or false"),
        ('{"salt": 1}', "Recipe has no option salt"),
        ('{"weight_g": 5}', "weight_g is 5; choose a number"),
    ],
)
def test_wrong_values_of_a_file_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        Recipe.from_dict(json.loads(text))


def test_a_command_reads_every_kind():
    words = ["--flavour", "sweet", "--portions", "3", "--mass", "0.5", "--spices", "7,8", "--cold", "--limit", "0.25"]
    assert parsed(Recipe, *words) == Recipe("sweet", 3, 0.5, (7, 8), True, 0.25)
    assert parsed(Recipe) == Recipe()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--flavour bitter", "--flavour: flavour is 'bitter'; choose one of plain, sweet"),
        ("--portions few", "--portions: 'few' is not a whole number"),
        ("--cold perhaps", "--cold: 'perhaps' is not true or false"),
        ("--spices 1,x", "--spices: '1,x' is not a whole number, several separated by commas"),
    ],
)
def test_a_command_refuses_what_means_nothing(words, message):
    with pytest.raises(ConfigError, match=message):
        parsed(Recipe, *words.split())


def test_help_names_options_defaults_and_units():
    parser = Parser(prog="made-up")
    add_options(parser, options_of(Recipe))
    shown = " ".join(parser.format_help().split())
    assert "see --weightG; default: 2" in shown
    assert "of one portion. 5 % may be lacking; default: 1.5 g" in shown
    assert "--flavour {plain,sweet} how it tastes; default: plain" in shown
    assert "--cold [bool] serve from the fridge" in shown and "default: False" not in shown


def test_hidden_options_are_understood():
    parser = Parser(prog="made-up")
    add_options(parser, options_of(Recipe), options_of(MoreOptions))
    assert given_options(parser.parse(["--trial", "fast"]), options_of(MoreOptions)) == {"trial": "fast"}
    assert "--trial" not in parser.format_help()


def test_what_was_changed_is_told_in_words_that_parse():
    changed = {option.field: text for option, text in changed_options(Recipe(spices=(7, 8), cold=True))}
    assert changed == {"spices": "7,8", "cold": "True"}
    for field, text in changed.items():
        assert options_of(Recipe)[field].parse(text) == {"spices": (7, 8), "cold": True}[field]


def test_a_text_of_no_choice_is_no_value():
    with pytest.raises(argparse.ArgumentTypeError, match="choose one of plain, sweet"):
        options_of(Recipe)["flavour"].parse("bitter")


def test_an_option_that_the_dataclass_alone_has_reaches_command_file_and_form():
    assert parsed(MoreOptions, "--trial", "fast") == MoreOptions(trial="fast")
    text = json.dumps(MoreOptions(trial="fast").to_dict())
    assert MoreOptions.from_dict(json.loads(text)).trial == "fast"
    named = {element.findtext("name"): element for element in ElementTree.fromstring(register_form(MoreOptions)).iter()}
    element = named["trial"]
    assert element.tag == "string-enumeration"
    assert [choice.text for choice in element.findall("element")] == ["none", "fast"]
    assert element.findtext("description") == "Fit the result of the network to the pair."
    assert (element.findtext("label"), element.findtext("default")) == ("Trial", "none")
    assert set(named) - {element.findtext("name") for element in ElementTree.fromstring(register_form()).iter()} == {
        "trial"
    }
