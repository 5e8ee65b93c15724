"""Described fields of dataclasses as options of a command."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.config import RegistrationOptions
from ..core.options import Option, camel_case
from .common import Parser, complain, say


def add_options(parser: Parser, shown: Mapping[str, Option], hidden: Mapping[str, Option] | None = None) -> None:
    """Add options by field name; those that are not given leave nothing in the parser's result.

    Args:
        parser: of the command.
        shown: what `--help` lists, with defaults.
        hidden: what is understood too.
    """
    for field, option in {**(hidden or {}), **shown}.items():
        flags: dict[str, Any] = {"nargs": "?", "const": True} if option.kind is bool and not option.is_list else {}
        parser.add_argument(
            f"--{option.name}",
            *(f"--{alias}" for alias in option.aliases),
            dest=field,
            type=option.parse,
            default=argparse.SUPPRESS,
            metavar=_metavar(option),
            help=_help(option, shown) if field in shown else argparse.SUPPRESS,
            **flags,
        )


def given_options(arguments: argparse.Namespace, fields: Iterable[str]) -> dict[str, Any]:
    """The values of those fields that stood on the command line."""
    known = set(fields)
    return {name: value for name, value in vars(arguments).items() if name in known}


def request_fields(arguments: argparse.Namespace, options: Iterable[str]) -> dict[str, Any]:
    """The fields of a `RegistrationRequest` that a command has, by name; volumes, masks and transform are files.

    Args:
        arguments: of the command, whose options are named as the fields.
        options: names of the `RegistrationOptions` that the command has.
    """
    from ..registration.request import RegistrationRequest

    names = {field.name for field in dataclasses.fields(RegistrationRequest)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    model, chosen = chosen_settings(arguments, options)
    return {**given, "model": model, "options": chosen}


def add_preset(parser: Parser) -> None:
    """Add the option that names a preset, and the one that lists them."""
    parser.add_argument(
        "--preset",
        default="",
        help="name of a preset, or the .json file of one, for what is not given otherwise; --listPresets prints them",
    )
    parser.add_argument("--listPresets", action="store_true", help="print the presets and stop")


def list_presets() -> None:
    """Print all presets, a line each."""
    from ..registration.presets import described, presets

    known, problems = presets()
    for line in described(known):
        say(line)
    for problem in problems:
        complain(f"Warning: left out: {problem}")


def chosen_settings(arguments: argparse.Namespace, options: Iterable[str]) -> tuple[Any, RegistrationOptions]:
    """The model, None for the default, and the options of a command; what stands on it wins over its preset.

    Args:
        arguments: of the command.
        options: names of the `RegistrationOptions` that the command has.

    Raises:
        ConfigError: there is no such preset, or an impossible value.
    """
    given, model = given_options(arguments, options), getattr(arguments, "modelFile", None) or arguments.model or None
    if not getattr(arguments, "preset", ""):
        return model, RegistrationOptions(**given)
    from ..registration.presets import find_preset

    preset = find_preset(arguments.preset)
    return model or preset.model, RegistrationOptions.from_dict({**preset.options, **given})


def _metavar(option: Option) -> str:
    if option.choices:
        return "{" + ",".join(option.choices) + "}"
    return option.kind.__name__ + (",..." if option.is_list else "")


def _help(option: Option, others: Mapping[str, Option]) -> str:
    def flag(found: re.Match[str]) -> str:
        other = others.get(found[1])
        return f"--{other.name if other else camel_case(found[1])}"

    default = option.text(option.default)
    stated = f"; default: {default} {option.unit}".rstrip() if default not in ("", "False") else ""
    return (re.sub(r"`(\w+)`", flag, option.help) + stated).replace("%", "%%")
