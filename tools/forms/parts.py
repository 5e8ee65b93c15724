"""Pieces of the .xml files that Slicer makes forms of: parameters, their groups, and the whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from VoxelMorphLib import __version__
from VoxelMorphLib.core.options import Option

#: Behind the title of a group, that of the closed one with its advanced options.
MORE = ": more"

_THANKS = (
    "Please cite Balakrishnan et al., VoxelMorph: A Learning Framework for Deformable Medical Image Registration, IEEE "
    "Transactions on Medical Imaging 2019, doi:10.1109/TMI.2019.2897538. Research software, not for clinical use."
)


@dataclass(frozen=True)
class Group:
    """Parameters under one heading.

    Args:
        title: of the group; options that name it stand in it.
        explanation: a sentence or two.
        before, after: parameters around the options.
        advanced: whether it is closed at first.
        takes_the_rest: whether options stand in it that name no group of the form.
    """

    title: str
    explanation: str
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    advanced: bool = False
    takes_the_rest: bool = False

    def text(self, options: Mapping[str, Option], parameters: Mapping[str, str], titles: Collection[str]) -> str:
        """The group with the options that belong to it, among groups of these titles."""
        own = [parameters[name] for name, option in options.items() if self._holds(option, titles)]
        advanced = ' advanced="true"' if self.advanced else ""
        head = f"    <label>{self.title}</label>\n    <description><![CDATA[{self.explanation}]]></description>\n"
        return f"\n  <parameters{advanced}>\n{head}{''.join([*self.before, *own, *self.after])}  </parameters>\n"

    def _holds(self, option: Option, titles: Collection[str]) -> bool:
        heading = f"{option.group}{MORE}" if option.advanced else option.group
        heading = heading if heading in titles else option.group
        return heading == self.title or (self.takes_the_rest and heading not in titles)


def form(
    title: str,
    description: str,
    groups: Sequence[Group],
    options: Mapping[str, Option],
    parameters: Mapping[str, str],
) -> str:
    """The whole of a form: its groups in their order, with the parameters of the options that belong to them."""
    head = f"""<?xml version="1.0" encoding="utf-8"?>
<executable>
  <category>Registration.VoxelMorph</category>
  <title>{title}</title>
  <description><![CDATA[{description}]]></description>
  <version>{__version__}</version>
  <documentation-url>https://github.com/SlicerVoxelMorph/SlicerVoxelMorph</documentation-url>
  <license>Apache-2.0</license>
  <contributor>VoxelMorph for 3D Slicer contributors</contributor>
  <acknowledgements><![CDATA[{_THANKS}]]></acknowledgements>
"""
    titles = {group.title for group in groups}
    return head + "".join(group.text(options, parameters, titles) for group in groups) + "</executable>\n"


def option_parameter(option: Option, others: Mapping[str, Option], default: object, only: str = "") -> str:
    """One option; `only` names the recipes that have it."""
    kinds = {str: "string", int: "integer", float: "double", bool: "boolean"}
    tag = kinds[option.kind] + "-vector" * option.is_list
    # Slicer passes a flag or nothing, so what is true by default must be a choice to be denied.
    choices = ("true", "false") if option.kind is bool and default else tuple(option.choices)
    tag = "string-enumeration" if choices else {"file": "file", "folder": "directory"}.get(option.path, tag)
    text = str(default).lower() if option.kind is bool else option.text(default)
    titles = {name: other.title for name, other in others.items()}
    return parameter(
        tag,
        option.name,
        f"{option.title} ({option.unit})" if option.unit else option.title,
        only + re.sub(r"`(\w+)`", lambda found: f'"{titles[found[1]]}"', option.sentence),
        text,
        choices,
        None if option.is_list or option.low is None or option.high is None else (option.low, option.high),
        step=option.step,
        channel={"file": "input", "folder": "output"}.get(option.path),
    )


def parameter(
    tag: str,
    name: str,
    label: str,
    description: str,
    default: str = "",
    choices: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
    step: float | None = None,
    channel: str | None = None,
    attributes: str = "",
    references: Sequence[str] = (),
) -> str:
    """One parameter, which is also a long flag of the command."""
    lines = [f"<name>{name}</name>", f"<longflag>--{name}</longflag>", f"<label>{escape(label)}</label>"]
    lines += [f"<description><![CDATA[{description}]]></description>"]
    lines += [f"<default>{escape(default)}</default>"] if default != "" or channel is None else []
    lines += [f"<channel>{channel}</channel>"] if channel else []
    lines += [f"<element>{choice}</element>" for choice in choices]
    if limits:
        named = {"minimum": limits[0], "maximum": limits[1], **({"step": step} if step else {})}
        lines += [
            "<constraints>",
            *(f"  <{key}>{value:.10g}</{key}>" for key, value in named.items()),
            "</constraints>",
        ]
    lines += references
    body = "".join(f"      {line}\n" for line in lines)
    return f"    <{tag}{attributes}>\n{body}    </{tag}>\n"


def flag(name: str, label: str, description: str) -> str:
    """A parameter that is off by default."""
    return parameter("boolean", name, label, description, "false")


def node(tag: str, name: str, label: str, description: str, channel: str, attributes: str = "") -> str:
    """A node of the scene that the command reads or writes as a file."""
    return parameter(tag, name, label, description, channel=channel, attributes=attributes)
