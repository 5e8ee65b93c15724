"""Attribute: one number that describes a subject, such as the age, and how a network takes it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import ConfigError


@dataclass(frozen=True)
class Attribute:
    """A column of the table that a template was trained with.

    Args:
        name: "age".
        unit: "years"; empty where none is known.
        low, high: least and greatest value of the training; None where they are unknown.
        mean, deviation: the network takes (value - mean) / deviation.

    Raises:
        ConfigError: a value is of the wrong type or impossible.
    """

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        numbers = [value for value in (self.low, self.high, self.mean, self.deviation) if value is not None]
        if not isinstance(self.name, str) or not self.name.strip() or not isinstance(self.unit, str):
            raise ConfigError(f"An attribute needs a name and a unit in words, got {self.name!r} and {self.unit!r}.")
        if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers) or not self.deviation:
            raise ConfigError(
                f"The attribute {self.name} has the numbers {numbers}; they must be finite, none of them 0 "
                "as deviation."
            )
        if (self.low is None) != (self.high is None) or (self.limits and self.limits[0] > self.limits[1]):
            raise ConfigError(f"The attribute {self.name} has the range {self.low} to {self.high}. Give two numbers.")

    @property
    def limits(self) -> tuple[float, float] | None:
        """Least and greatest value of the training, where they are known."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def middle(self) -> float:
        """A value in the middle of the training."""
        return self.mean if self.limits is None else min(max(self.mean, self.limits[0]), self.limits[1])

    @property
    def range(self) -> str:
        """The trained range in words, empty where it is unknown."""
        return "" if self.limits is None else f"{self.limits[0]:g} to {self.limits[1]:g} {self.unit}".strip()

    def standardised(self, value: float) -> float:
        """What the network takes for a value."""
        return (value - self.mean) / self.deviation

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` turns them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Attribute:
        """Build an attribute from a JSON object.

        Raises:
            ConfigError: no object, or an unknown or impossible value.
        """
        known = [f.name for f in dataclasses.fields(cls)]
        if not isinstance(values, dict) or "name" not in values or not set(values) <= set(known):
            raise ConfigError(f"An attribute needs an object with the keys {', '.join(known)}, got {str(values)[:80]}.")
        return cls(**values)


def describe(title: str, values: Sequence[float]) -> Attribute:
    """The attribute of one column of a table.

    Args:
        title: of the column; a unit may stand in brackets behind the name, as in "age [years]" or "volume (ml)".
        values: of all subjects of the training.
    """
    match = re.fullmatch(r"\s*(.+?)\s*[\[(]([^\[\]()]+)[\])]\s*", title)
    name, unit = match.groups() if match else (title.strip(), "")
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return Attribute(name, unit.strip(), min(values), max(values), mean, deviation or 1.0)


def chosen_values(attributes: Sequence[Attribute], values: Mapping[str, float]) -> tuple[list[float], list[str]]:
    """One value for each attribute, the middle where none is given, and sentences about doubtful ones.

    Raises:
        ConfigError: a value has no attribute, or is no finite number.
    """
    names = [attribute.name for attribute in attributes]
    unknown = [name for name in values if name not in names]
    if unknown:
        has = f"this model has {', '.join(names)}" if names else "this model has none: its template is always the same"
        raise ConfigError(f"There is no attribute {unknown[0]!r}; {has}.")
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise ConfigError(f"The attribute {bad[0]} is {values[bad[0]]}. Give a finite number.")
    chosen = [values.get(attribute.name, attribute.middle) for attribute in attributes]
    taken = [
        f"{a.name} was not given and is taken as {a.middle:g}; its trained range is not known."
        for a in attributes
        if a.name not in values and a.limits is None
    ]
    return chosen, taken + [_doubt(a, value) for a, value in zip(attributes, chosen) if _is_outside(a, value)]


def _is_outside(attribute: Attribute, value: float) -> bool:
    return attribute.limits is not None and not attribute.limits[0] <= value <= attribute.limits[1]


def _doubt(attribute: Attribute, value: float) -> str:
    return f"{attribute.name} {value:g} is outside the trained range, {attribute.range}; the template is a guess there."
