"""The pages for users of the original: the tests, names, commands and links in them exist."""

from __future__ import annotations

import ast
import re

import pytest
import VoxelMorphLib
from support.shared_data import REPOSITORY
from VoxelMorphLib.cli import apply, evaluate, register, template, train
from VoxelMorphLib.training.recipes import RECIPES
from VoxelMorphLib.weights.catalogue import load_catalogue

FOLDER = REPOSITORY / "docs"
PROMISES = (FOLDER / "from-voxelmorph.md").read_text(encoding="utf-8")
PORTING = (FOLDER / "porting.md").read_text(encoding="utf-8")
ROWS = [line for line in PROMISES.splitlines() if line.startswith("| ")][1:]
PARSERS = {
    "Apply": apply._parser(),
    "Evaluate": evaluate.parser(),
    "Register": register._parser(),
    "Template": template._parser(),
    "Train": train.parser(),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:50])
def test_every_promise_names_a_test_that_exists(row):
    *_, shown, _end = row.split("|")
    (path, name) = re.fullmatch(r" `(Testing/\S+\.py)::(test_\w+)` ", shown).groups()
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:50])
def test_commands_options_recipes_and_models_of_the_page_exist(row):
    here = row.split("|")[2]
    for program, words in re.findall(r"`(Apply|Evaluate|Register|Template|Train)\b([^`]*)`", here):
        options = re.findall(r"--\w+", words)
        assert set(options) <= {*PARSERS[program]._option_string_actions, "--help"}
    chosen = re.findall(r"--recipe ([a-z-]+)", here)
    assert set(chosen) <= set(RECIPES)
    models = re.findall(r"--model ([a-z][\w-]*-[\w-]+)", here)
    assert set(models) <= set(load_catalogue())


def test_new_names_of_scripts_are_public():
    right = [line.split("|")[2] for line in PORTING.splitlines() if line.startswith("| ") and "| here |" not in line]
    names = {name for cell in right for name in re.findall(r"`([A-Za-z_]+)[(.`]", cell)}
    used = names - {"network", "output", "align_corners", "factor", "fill_value"}
    assert len(used) > 40
    assert used <= set(VoxelMorphLib.__all__)


def test_layers_networks_and_losses_have_a_row_each():
    packages = ("networks.", "core.losses.")
    modules = {name for name, home in VoxelMorphLib._HOMES.items() if home.startswith(packages) and name[0].isupper()}
    missing = {name for name in modules if f"`{name}" not in PORTING}
    assert not missing


def test_links_lead_to_files():
    for page in FOLDER.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"
