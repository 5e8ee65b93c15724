"""Options described once: fields of dataclasses that carry their limits, choices, unit and words for people.

`options_of` reads them. The parsers of the commands, the forms of Slicer, the panel, JSON files and the checks of the
dataclasses themselves are made from it.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from .errors import ConfigError

_KEY = "option"
_KNOWN: dict[type, dict[str, Option]] = {}
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless `value` is a number from `low` to `high`, both included."""
    if not isinstance(value, (int, float)) or not low <= value <= high:  # NaN lies nowhere
        shown = reprlib.repr(value)  # integers may have any number of digits
        raise ConfigError(f"{name} is {shown}; choose a number from {low:.10g} to {high:.10g}.")


def check_whole(name: str, value: int) -> None:
    """Raise ConfigError unless `value` is a whole number."""
    if not isinstance(value, int):
        raise ConfigError(f"{name} is {value!r}; give a whole number.")


@dataclass(frozen=True)
class Option:
    """What is known of one option.

    Args:
        help: what it does, without the full stop; names of other fields stand in backticks.
        title: what stands beside its widget; by default the name of the field in words.
        low, high: limits of a number, both allowed; None without limits.
        choices: the possible values in the order in which they are offered, each with a text for people.
        unit: of a number.
        step: of its slider, where it is not a hundredth of the way.
        path: what a text names: "file", "folder" (to write into), or "files" (a list, a folder or a pattern).
        group: heading in the forms of Slicer; the forms have a place for options without one.
        advanced: whether few need it, so that a form may keep it in a closed part of its group.
        name: of the command's option and of the parameter that a scene keeps; by default the field in camelCase.
        aliases: other options of the command that mean the same, without dashes.
        in_form: whether the forms of Slicer have it.
        in_panel: whether the panel has a widget for it and a scene keeps it; the value is no list and never None, and a
            fractional number has limits.
        panel_limits: lowest and highest value there, where they are narrower.
        field, kind, is_list, optional, default: of the dataclass; `options_of` finds them. `kind` is str, int, float or
            bool, of the items where the value is a tuple; `optional` allows None.
    """

    help: str
    title: str = ""
    low: float | None = None
    high: float | None = None
    choices: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unit: str = ""
    step: float | None = None
    path: str = ""
    group: str = ""
    advanced: bool = False
    name: str = ""
    aliases: tuple[str, ...] = ()
    in_form: bool = True
    in_panel: bool = True
    panel_limits: tuple[float, float] | None = None
    field: str = ""
    kind: type = str
    is_list: bool = False
    optional: bool = False
    default: Any = None

    @property
    def sentence(self) -> str:
        """The help as a sentence of its own."""
        text = self.help if self.help.endswith((".", "?")) else f"{self.help}."
        return text[:1].upper() + text[1:]

    @property
    def limits_in_panel(self) -> tuple[float, float] | None:
        """Lowest and highest value that the panel takes; None without limits."""
        if self.panel_limits is None and self.low is not None and self.high is not None:
            return self.low, self.high
        return self.panel_limits

    def parse(self, text: str) -> Any:
        """The value that a text on the command line means.

        Raises:
            ArgumentTypeError: the text means none.
        """
        if self.choices and text not in self.choices:
            raise argparse.ArgumentTypeError(f"{self.field} is {text!r}; choose one of {', '.join(self.choices)}")
        try:
            if self.is_list:
                return tuple(_parsed(item, self.kind) for item in re.split(r"[,\s]+", text) if item)
            return _parsed(text, self.kind)
        except ValueError:
            several = ", several separated by commas" if self.is_list else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not {_KINDS[self.kind]}{several}") from None

    def text(self, value: Any) -> str:
        """What `parse` makes `value` of; "" for None."""
        if value is None:
            return ""
        return ",".join(map(str, value)) if self.is_list else str(value)

    def check(self, value: Any) -> None:
        """Make sure that the dataclass can have this value.

        Raises:
            ConfigError: it is none of the choices, outside of the limits, or of another type.
        """
        if value is None and self.optional:
            return
        if self.choices:
            check_choice(self.field, value, tuple(self.choices))
        elif self.low is not None and self.high is not None:
            check_range(self.field, value, self.low, self.high)
            if self.kind is int:
                check_whole(self.field, value)
        else:
            self.check_type(value)

    def check_type(self, value: Any) -> None:
        """Make sure that a value, of a JSON file perhaps, is of the field's type.

        Raises:
            ConfigError: it is not.
        """
        if value is None and self.optional:
            return
        items = value if self.is_list and isinstance(value, (list, tuple)) else [value]
        right = self.is_list == isinstance(value, (list, tuple))
        wanted = (int, float) if self.kind is float else self.kind
        if right and all(isinstance(i, wanted) and (self.kind is bool) == isinstance(i, bool) for i in items):
            return
        form = f"a list, each item {_KINDS[self.kind]}" if self.is_list else _KINDS[self.kind]
        raise ConfigError(f"{self.field} is {value!r}; give {form}.")


def option(default: Any, help: str, choices: Mapping[str, str] | Sequence[str] = (), **facts: Any) -> Any:
    """A described field of a dataclass.

    Args:
        default: of the field.
        help: what the option does, see `Option`.
        choices: the possible values, with their texts for people or without.
        facts: more of `Option`, by name.
    """
    texts = choices if isinstance(choices, Mapping) else {value: value.capitalize() for value in choices}
    return dataclasses.field(default=default, metadata={_KEY: Option(help, choices=texts, **facts)})


def options_of(config: type) -> dict[str, Option]:
    """The described fields of a dataclass by name, in its order.

    A subclass that only gives a field another default keeps the description of the field.
    """
    if config not in _KNOWN:
        _KNOWN[config] = _read(config)
    return _KNOWN[config]


def changed_options(config: Any) -> Iterator[tuple[Option, str]]:
    """The options of a dataclass's instance that differ from the defaults, with their values as words of a command."""
    for option in options_of(type(config)).values():
        value = getattr(config, option.field)
        if value != option.default:
            yield option, option.text(value)


def camel_case(field: str) -> str:
    """The name of a field as commands and scenes have it."""
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _read(config: type) -> dict[str, Option]:
    described: dict[str, Option] = {}
    for base in reversed(config.__mro__):
        for field in vars(base).get("__dataclass_fields__", {}).values():
            if _KEY in field.metadata:
                described[field.name] = field.metadata[_KEY]
    hints = get_type_hints(config) if described else {}
    fields = [field for field in dataclasses.fields(config) if field.name in described]
    return {field.name: _complete(described[field.name], field, hints[field.name]) for field in fields}


def _complete(known: Option, field: dataclasses.Field, hint: Any) -> Option:
    """What the description leaves to the dataclass: name, type and default."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    optional = NoneType in kinds
    kind = next(kind for kind in kinds if kind is not NoneType)
    is_list = get_origin(kind) is tuple
    return dataclasses.replace(
        known,
        title=known.title or field.name.replace("_", " ").capitalize(),
        name=known.name or camel_case(field.name),
        field=field.name,
        kind=get_args(kind)[0] if is_list else kind,
        is_list=is_list,
        optional=optional,
        default=field.default,
    )


def _parsed(text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError(text)
        return text.lower() in _TRUE
    return kind(text)
