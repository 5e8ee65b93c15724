"""Options of the train command, made from the fields of the recipes' dataclasses and the texts of their docstrings."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import inspect
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..core.errors import ConfigError
from ..training.config import TrainingConfig
from .common import Parser

#: Other names of options, as the original scripts have them.
ALIASES = {"smoothness": ("--lambda",)}
#: Text fields that name files; the command makes them absolute, so that a training can be resumed from anywhere.
FILES = re.compile(r".*_(list|dir|weights|stat|atlas)|atlas(_labels)?|attributes")

_ENTRY = re.compile(r" {4}(\w+(?:, \w+)*): (.*)")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Option:
    """One field of a recipe as an option of the command.

    Args:
        field: name in the dataclass.
        kind: str, int, float or bool; of the items of a list too.
        is_list: whether the value is a tuple, written with commas.
        default: of the dataclass.
        help: from the dataclass's docstring.
    """

    field: str
    kind: type
    is_list: bool
    default: Any
    help: str

    @property
    def name(self) -> str:
        """The option without dashes, in camelCase."""
        return _camel_case(self.field)

    def parse(self, text: str) -> Any:
        """The value that a text on the command line means.

        Raises:
            ArgumentTypeError: the text means none.
        """
        try:
            if self.is_list:
                return tuple(_parsed(item, self.kind) for item in re.split(r"[,\s]+", text) if item)
            return _parsed(text, self.kind)
        except ValueError:
            several = ", several separated by commas" if self.is_list else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not {_KINDS[self.kind]}{several}") from None

    def text(self, value: Any) -> str:
        """What `parse` makes `value` of."""
        return ",".join(map(str, value)) if self.is_list else str(value)

    def check(self, value: Any) -> None:
        """Make sure that a value from a JSON file is of the field's type.

        Raises:
            ConfigError: it is not.
        """
        items = value if self.is_list and isinstance(value, (list, tuple)) else [value]
        right = self.is_list == isinstance(value, (list, tuple))
        wanted = (int, float) if self.kind is float else self.kind
        if right and all(isinstance(i, wanted) and (self.kind is bool) == isinstance(i, bool) for i in items):
            return
        form = f"a list, each item {_KINDS[self.kind]}" if self.is_list else _KINDS[self.kind]
        raise ConfigError(f"{self.field} is {value!r}; give {form}.")


@functools.cache
def options_of(config: type[TrainingConfig]) -> dict[str, Option]:
    """The options of a recipe's dataclass by field name."""
    hints, texts = get_type_hints(config), help_texts(config)
    found = {}
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        is_list = get_origin(hint) is tuple
        kind = get_args(hint)[0] if is_list else hint
        found[field.name] = Option(field.name, kind, is_list, field.default, texts.get(field.name, ""))
    return found


def help_texts(config: type) -> dict[str, str]:
    """What the docstrings of a dataclass and of its bases say about every field."""
    texts: dict[str, str] = {}
    for base in reversed(config.__mro__):
        names: list[str] = []
        for line in inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("Args:\n")[2].splitlines():
            entry = _ENTRY.fullmatch(line)
            if entry:
                names = entry[1].split(", ")
                texts.update(dict.fromkeys(names, entry[2]))
            elif line.startswith(" " * 8):
                texts.update({name: f"{texts[name]} {line.strip()}" for name in names})
            else:
                names = []
    return texts


def add_options(parser: Parser, configs: dict[str, type[TrainingConfig]], recipe: str) -> None:
    """Add the options of all recipes; only those of the chosen one are shown by `--help`, with its defaults.

    Args:
        parser: of the command. Options that are not given leave nothing in its result.
        configs: dataclasses by the names of their recipes.
        recipe: the chosen one.
    """
    shown = options_of(configs[recipe])
    hidden = {name: option for config in configs.values() for name, option in options_of(config).items()}
    for field, option in {**hidden, **shown}.items():
        flags: dict[str, Any] = {"nargs": "?", "const": True} if option.kind is bool and not option.is_list else {}
        parser.add_argument(
            f"--{option.name}",
            *ALIASES.get(field, ()),
            dest=field,
            type=option.parse,
            default=argparse.SUPPRESS,
            metavar=option.kind.__name__ + (",..." if option.is_list else ""),
            help=_help(option) if field in shown else argparse.SUPPRESS,
            **flags,
        )


def given_options(arguments: argparse.Namespace, configs: Iterable[type[TrainingConfig]]) -> dict[str, Any]:
    """The options that stood on the command line, by field name."""
    fields = {field.name for config in configs for field in dataclasses.fields(config)}
    return {name: value for name, value in vars(arguments).items() if name in fields}


def command_of(config: TrainingConfig) -> str:
    """The command line that makes such a training; files by their names alone, as folders differ between machines."""
    words = ["VoxelMorphTrain", "--recipe", config.recipe]
    for option, text in changed_options(config):
        if option.field != "output_dir":
            words += [f"--{option.name}", Path(text).name if FILES.fullmatch(option.field) else text]
    return shlex.join(words)


def changed_options(config: TrainingConfig) -> Iterator[tuple[Option, str]]:
    """The options that differ from their recipe's defaults, with their values as words of a command line."""
    for option in options_of(type(config)).values():
        value = getattr(config, option.field)
        if value != option.default:
            yield option, option.text(value)


def _camel_case(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _parsed(text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError(text)
        return text.lower() in _TRUE
    return kind(text)


def _help(option: Option) -> str:
    default = option.text(option.default)
    stated = f" [{default}]" if default not in ("", "False") else ""
    text = re.sub(r"`(\w+)`", lambda found: f"--{_camel_case(found[1])}", option.help.rstrip("."))
    return f"{text}{stated}".replace("%", "%%")
