"""The .xml of every command: understood by Slicer, complete for a reader, and in step with the command itself."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from cli_forms import written_forms
from support.cli_description import Description, parameters, require_parser
from VoxelMorphLib import __version__
from VoxelMorphLib.cli import register
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.options import options_of
from VoxelMorphLib.weights.catalogue import CATALOGUE_NAME, load_catalogue
from VoxelMorphLib.weights.entry import tasks_of
from VoxelMorphLib.weights.folders import BUNDLED_FOLDER

FOLDER = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "CLI"
COMMANDS = sorted(path.stem for path in FOLDER.glob("*.xml"))
#: Tags that only structure a parameter group.
GROUP_TAGS = ("label", "description")
OPTIONS = options_of(RegistrationOptions).values()
CHOICES = {option.name: tuple(option.choices) for option in OPTIONS}
CHOICES["model"] = tuple(
    name for name, entry in load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME).items() if tasks_of(entry)
)
#: The field of each option of the register command.
SETTING_NAMES = {option.name: option.field for option in OPTIONS}
#: Options that make no sense in a form: Slicer always passes numbers, and `background` has none by default; it passes
#: every other option too, so that a preset would change nothing.
NOT_IN_THE_FORM = {"help", "version", "background", "preset", "listPresets"}


def tree_of(command):
    return ElementTree.parse(FOLDER / f"{command}.xml").getroot()


def parameters_of(command):
    """The parameter elements, as a plain reader of XML sees them."""
    return [e for group in tree_of(command).findall("parameters") for e in group if e.tag not in GROUP_TAGS]


def text(element, tag):
    return (element.findtext(tag) or "").strip()


@pytest.fixture(params=COMMANDS)
def command(request):
    """The name of each command in turn."""
    return request.param


def test_every_form_is_written_from_the_options():
    assert sorted(path.stem for path in written_forms()) == COMMANDS
    for path, written in written_forms().items():
        assert path.read_text(encoding="utf-8") == written, "run make forms"


def test_slicer_parses_it_without_complaint(application, scene, command):
    require_parser()
    description = Description((FOLDER / f"{command}.xml").read_text())
    assert (description.status, description.messages) == (0, "")
    understood = parameters(description.node(scene))
    assert [p["name"] for p in understood] == [text(element, "name") for element in parameters_of(command)]
    for known, element in zip(understood, parameters_of(command)):
        assert known["longflag"] == text(element, "longflag").lstrip("-")
        assert known["default"] == text(element, "default")
        assert all(known[key] for key in ("label", "description", "group"))


MISTAKES = {
    "unknown tag": ("<double>", "<number>"),
    "unknown type": ('type="label"', 'type="mask"'),
    "name with a dash": ("<name>weightsDir<", "<name>weights-dir<"),
    "not closed": ("</executable>", ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_slicer_complains_about_mistakes(mistake):
    require_parser()
    xml, (right, wrong) = (FOLDER / "VoxelMorphRegister.xml").read_text(), MISTAKES[mistake]
    assert right in xml
    xml = xml.replace(right, wrong).replace("</double>", "</number>" if mistake == "unknown tag" else "</double>")
    description = Description(xml)
    assert description.status != 0 or description.messages


def test_every_parameter_tells_a_person_what_it_is(command):
    for element in parameters_of(command):
        assert re.fullmatch(r"[A-Za-z_]\w*", text(element, "name")), ElementTree.tostring(element)
        assert text(element, "longflag") == f"--{text(element, 'name')}"
        assert len(text(element, "label")) > 3
        assert text(element, "description").endswith(".")
        if element.tag in ("image", "transform", "file", "directory"):
            assert text(element, "channel") in ("input", "output")


def test_names_and_labels_are_unique(command):
    for tag in ("name", "longflag", "label"):
        found = [text(element, tag) for element in parameters_of(command)]
        assert len(found) == len(set(found))


def test_defaults_are_possible(command):
    for element in parameters_of(command):
        choices, default = [e.text for e in element.findall("element")], text(element, "default")
        if choices:
            assert default in choices and len(set(choices)) == len(choices)
        limits = element.find("constraints")
        if limits is not None:
            assert float(text(limits, "minimum")) <= float(default) <= float(text(limits, "maximum"))
        if element.tag == "boolean":
            assert default == "false"


def test_references_point_to_parameters(command):
    names = [text(element, "name") for element in parameters_of(command)]
    for element in parameters_of(command):
        assert element.get("reference", names[0]) in names
        for reference in element.findall("reference"):
            assert reference.get("parameter") in names
            assert reference.get("role") in ("spatialRegistrationMoving", "spatialRegistrationFixed")


def test_the_head_is_complete_and_current(command):
    root = tree_of(command)
    assert root.tag == "executable" and text(root, "version") == __version__
    for tag in ("category", "title", "description", "documentation-url", "license", "contributor", "acknowledgements"):
        assert text(root, tag)
    for group in root.findall("parameters"):
        assert text(group, "label") and text(group, "description")


def test_the_script_beside_it_is_a_slicer_command(command):
    script = (FOLDER / f"{command}.py").read_text()
    assert script.startswith("#!/usr/bin/env python-real\n")
    assert len(script.splitlines()) <= 30
    assert set(re.findall(r"^(?:from|import) (\w+)", script, re.MULTILINE)) <= {"os", "sys", "pathlib"}


def test_register_offers_the_options_of_its_command(capsys):
    with pytest.raises(SystemExit):
        register.main(["--help"])
    options = set(re.findall(r"--([A-Za-z]+)", capsys.readouterr().out))
    assert {text(element, "name") for element in parameters_of("VoxelMorphRegister")} == options - NOT_IN_THE_FORM


def test_register_has_the_choices_of_its_settings():
    for element in parameters_of("VoxelMorphRegister"):
        choices = tuple(e.text for e in element.findall("element"))
        assert choices == CHOICES.get(text(element, "name"), ())


def test_register_has_the_defaults_of_its_settings():
    settings, compared = RegistrationOptions().to_dict(), set()
    for element in parameters_of("VoxelMorphRegister"):
        name = SETTING_NAMES.get(text(element, "name"), text(element, "name"))
        if name in settings:
            assert options_of(RegistrationOptions)[name].parse(text(element, "default")) == settings[name]
            compared.add(name)
    assert compared == set(settings) - NOT_IN_THE_FORM


def test_register_has_the_limits_of_its_settings():
    for element in parameters_of("VoxelMorphRegister"):
        limits, name = element.find("constraints"), text(element, "name")
        for tag in () if limits is None else ("minimum", "maximum"):
            field, value = SETTING_NAMES.get(name, name), float(text(limits, tag))
            RegistrationOptions(**{field: int(value) if type(getattr(RegistrationOptions, field)) is int else value})
