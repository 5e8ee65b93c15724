"""Attributes of subjects: what a column of a table becomes, and values that somebody asks for."""

from __future__ import annotations

import pytest
from VoxelMorphLib.core.attributes import Attribute, chosen_values, describe
from VoxelMorphLib.core.errors import ConfigError

AGE, SEX = Attribute("age", "years", 20, 90, 55, 10), Attribute("sex", "", 0, 1, 0.4, 0.5)


@pytest.mark.parametrize(
    ("title", "name", "unit"),
    [
        ("age [years]", "age", "years"),
        (" volume (mm3) ", "volume", "mm3"),
        ("sex", "sex", ""),
        ("a (b) c", "a (b) c", ""),
    ],
)
def test_a_column_tells_name_and_unit(title, name, unit):
    attribute = describe(title, [1, 2, 6])
    assert (attribute.name, attribute.unit, attribute.limits, attribute.mean) == (name, unit, (1, 6), 3)
    assert attribute.deviation == pytest.approx((14 / 3) ** 0.5)


def test_a_column_of_one_value_is_not_scaled():
    assert describe("sex", [1, 1]).standardised(1) == 0
    assert describe("sex", [1, 1]).standardised(2) == 1


def test_the_network_gets_standard_deviations_from_the_mean():
    assert [AGE.standardised(age) for age in (55, 65, 35)] == [0, 1, -2]


def test_what_is_left_out_is_the_mean():
    assert chosen_values([AGE, SEX], {"sex": 1}) == ([55, 1], [])


def test_values_beyond_the_training_are_doubtful():
    values, (doubt,) = chosen_values([AGE, SEX], {"age": 91})
    assert values == [91, 0.4]
    assert doubt == "age 91 is outside the trained range, 20 to 90 years; the template is a guess there."


def test_a_mean_that_is_no_mean_is_said():
    _, (taken,) = chosen_values([Attribute("age")], {})
    assert taken == "age was not given and is taken as 0; its trained range is not known."


@pytest.mark.parametrize(
    ("attributes", "values", "text"),
    [
        ([AGE, SEX], {"weight": 1}, "There is no attribute 'weight'; this model has age, sex."),
        ([], {"age": 1}, "this model has none: its template is always the same"),
        ([AGE], {"age": float("nan")}, "The attribute age is nan. Give a finite number."),
    ],
)
def test_impossible_values_are_refused(attributes, values, text):
    with pytest.raises(ConfigError, match=text.replace("(", "\\(")):
        chosen_values(attributes, values)


def test_an_attribute_comes_back_from_plain_values():
    assert Attribute.from_dict(AGE.to_dict()) == AGE


@pytest.mark.parametrize(
    "values",
    [
        "age",
        {},
        {"name": ""},
        {"name": "age", "low": 1},
        {"name": "age", "low": 2, "high": 1},
        {"name": "age", "deviation": 0},
        {"name": "age", "mean": float("inf")},
        {"name": "age", "mean": "3"},
        {"name": "age", "weight": 1},
    ],
)
def test_impossible_attributes_are_refused(values):
    with pytest.raises(ConfigError, match="attribute"):
        Attribute.from_dict(values)
