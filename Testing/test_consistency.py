"""What is written twice is written alike: metadata, file lists, versions, README; and the repository stays clean."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
import VoxelMorphLib
import yaml
from cmake_lists import MODULE, files_on_disk, listed, write_lists
from support.repository import absolute_paths, leftovers, tracked_files
from support.shared_data import REPOSITORY
from versions import SOURCE, library_version, repeated_versions, write_versions
from VoxelMorphLib.weights.store import matches

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
DEVELOPING = (REPOSITORY / "DEVELOPING.md").read_text(encoding="utf-8")
CMAKE = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
METADATA = dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"$]*)"\)$', CMAKE, flags=re.MULTILINE))
COMMANDS = sorted((MODULE / "CLI").glob("*.xml"))
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
ISSUE_FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))  # config.yml is none
HOOKS = REPOSITORY / ".pre-commit-config.yaml"
MODELS = json.loads((MODULE / "Resources" / "Weights" / "models.json").read_text(encoding="utf-8"))["models"]


def s4ext() -> dict[str, str]:
    lines = (REPOSITORY / "VoxelMorph.s4ext").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return {key: value.strip() for key, _, value in pairs}


@pytest.mark.parametrize("key", [" ".join(key) for key in files_on_disk()])
def test_cmake_lists_name_exactly_what_is_on_the_disk(key):
    file, name = key.split()
    assert listed(MODULE, file, name) == files_on_disk()[file, name], "run make cmake-lists"


def test_written_cmake_lists_follow_the_disk(tmp_path):
    for file in ("CMakeLists.txt", "CLI/CMakeLists.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(MODULE / file, tmp_path / file)
    (tmp_path / "VoxelMorphLib" / "core").mkdir(parents=True)
    (tmp_path / "VoxelMorphLib" / "core" / "added.py").touch()
    for name in ("report/templates/added.html", "report/.hidden", "core/__pycache__/added.pyc"):
        (tmp_path / "VoxelMorphLib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "VoxelMorphLib" / name).touch()
    (tmp_path / "CLI" / "VoxelMorphAdded.xml").touch()
    write_lists(tmp_path)
    assert listed(tmp_path, "CMakeLists.txt", "MODULE_PYTHON_SCRIPTS") == ["VoxelMorphLib/core/added.py"]
    assert listed(tmp_path, "CMakeLists.txt", "MODULE_PYTHON_RESOURCES") == [
        "VoxelMorphLib/report/templates/added.html"
    ]
    assert listed(tmp_path, "CLI/CMakeLists.txt", "MODULE_CLIS") == ["VoxelMorphAdded"]


@pytest.mark.skipif(not shutil.which("cmake") or not shutil.which("cc"), reason="needs cmake and a compiler")
def test_cmake_accepts_the_extension(tmp_path):
    slicer = Path(__file__).parent / "support" / "slicer_cmake"
    command = ["cmake", "-S", REPOSITORY, "-B", tmp_path, f"-DSlicer_DIR={slicer}", "-DBUILD_TESTING=ON"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "packaged: VoxelMorphSlicer.py" in result.stdout
    assert "packaged: VoxelMorphLib/report/templates/base.html" in result.stdout


def test_s4ext_repeats_cmake():
    mirror = s4ext()
    for name in ("HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert mirror[name.lower()] == METADATA[name]


def test_the_index_entry_repeats_cmake():
    path = REPOSITORY / "Resources" / "VoxelMorph.json"
    entry = json.loads(path.read_text(encoding="utf-8"))
    assert path.stem == re.search(r"^project\((\w+)\)$", CMAKE, flags=re.MULTILINE).group(1)
    assert b"\r" not in path.read_bytes()
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert entry["category"] == METADATA["CATEGORY"]
    assert entry["build_dependencies"] == METADATA["DEPENDS"].split()
    assert (entry["scm_url"], entry["scm_revision"]) == (s4ext()["scmurl"], s4ext()["scmrevision"])
    assert entry["scm_url"] == METADATA["HOMEPAGE"]


def test_catalogue_pictures_are_bitmaps_of_this_repository():
    address = "https://raw.githubusercontent.com/" + METADATA["HOMEPAGE"].removeprefix("https://github.com/") + "/main/"
    for url in [METADATA["ICONURL"], *METADATA["SCREENSHOTURLS"].split()]:
        picture = REPOSITORY / url.removeprefix(address)
        assert picture.read_bytes().startswith((b"\x89PNG", b"\xff\xd8"))


def test_the_catalogue_icon_has_128_pixels():
    header = (REPOSITORY / "Resources" / "VoxelMorph128.png").read_bytes()[:24]
    assert (int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")) == (128, 128)


def test_every_command_is_a_script_with_a_description():
    assert sorted(path.stem for path in (MODULE / "CLI").glob("*.py")) == [path.stem for path in COMMANDS]
    for path in COMMANDS:
        assert path.with_suffix(".py").read_text(encoding="utf-8").startswith("#!")


def test_versions_agree():
    assert library_version() == VoxelMorphLib.__version__
    repeated = repeated_versions()
    assert {"CITATION.cff", *(path.relative_to(REPOSITORY).as_posix() for path in COMMANDS)} == set(repeated)
    assert set(repeated.values()) == {VoxelMorphLib.__version__}, "run make versions"
    for path in COMMANDS:
        assert ElementTree.parse(path).findtext("version") == VoxelMorphLib.__version__


def test_the_changelog_begins_with_this_version():
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\d+\.\d+\.\d+)", changelog, flags=re.MULTILINE).group(1) == VoxelMorphLib.__version__


def test_a_new_version_is_written_everywhere(tmp_path):
    for name in (SOURCE, *repeated_versions()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    source = tmp_path / SOURCE
    text = source.read_text(encoding="utf-8").replace(f'"{VoxelMorphLib.__version__}"', '"9.8.7"')
    source.write_text(text, encoding="utf-8")
    write_versions(tmp_path)
    assert set(repeated_versions(tmp_path).values()) == {"9.8.7"}
    assert ElementTree.parse(tmp_path / COMMANDS[0].relative_to(REPOSITORY)).findtext("version") == "9.8.7"


def test_the_licence_is_apache_everywhere():
    assert "Apache License" in (REPOSITORY / "LICENSE.txt").read_text(encoding="utf-8")
    assert "license: Apache-2.0" in (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert "Apache" in METADATA["DESCRIPTION"]
    assert "Apache License" in README


def test_the_panel_has_every_widget_that_the_module_uses():
    files = [MODULE / "VoxelMorphSlicer.py", *(MODULE / "VoxelMorphLib" / "bridge" / "panel").glob("*.py")]
    used = {name for file in files for name in re.findall(r"\bui\.(\w+)", file.read_text(encoding="utf-8"))}
    assert used
    panel = ElementTree.parse(MODULE / "Resources" / "UI" / "VoxelMorphSlicer.ui")
    assert used <= {widget.get("name") for widget in panel.iter("widget")}


def test_every_make_target_is_explained():
    manuals = README + CONTRIBUTING
    targets = re.search(r"^\.PHONY: help (.+)$", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for target in targets.group(1).split():
        assert f"make {target}" in manuals


def test_what_github_and_pre_commit_read_is_yaml():
    for path in [*WORKFLOWS, *ISSUE_FORMS, HOOKS, REPOSITORY / "CITATION.cff"]:
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
    for path in WORKFLOWS:
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        assert all(job["runs-on"] and job["steps"] for job in jobs.values())


def test_workflows_and_hooks_name_files_and_targets_that_exist():
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for path in [*WORKFLOWS, HOOKS]:
        text = path.read_text(encoding="utf-8")
        files = re.findall(r"\b((?:tools|Testing)/\w[\w/.]*|requirements[\w-]*\.txt)", text)
        assert [name for name in files if not (REPOSITORY / name).exists()] == []
        assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= set(targets)


def test_issue_forms_ask_for_something():
    for path in ISSUE_FORMS:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        kinds = {item["type"] for item in form["body"]}
        assert kinds <= {"markdown", "textarea", "input", "dropdown", "checkboxes"}
        assert any(item.get("validations", {}).get("required") for item in form["body"])


def test_readme_names_every_command_and_only_options_that_exist():
    modules = [import_module(f"VoxelMorphLib.cli.{path.stem.removeprefix('VoxelMorph').lower()}") for path in COMMANDS]
    parsers = [getattr(module, "parser", None) or module._parser for module in modules]
    options = {option for parser in parsers for option in parser()._option_string_actions}
    assert set(re.findall(r"`(--\w+)`", README)) - {"--help"} <= options
    for path in COMMANDS:
        assert path.name.replace(".xml", ".py") in README


def test_readme_names_every_model():
    for model in MODELS:
        assert f"`{model['id']}`" in README


def test_readme_heads_troubleshooting_with_texts_that_the_program_says():
    texts = re.findall(r"^\*\*`(.+)`\*\*", README, flags=re.MULTILINE)
    sources = "\n".join(path.read_text(encoding="utf-8") for path in MODULE.rglob("*.py"))
    assert texts
    assert [text for text in texts if text not in sources] == []


@pytest.mark.parametrize("text", [README, CONTRIBUTING, DEVELOPING], ids=["README", "CONTRIBUTING", "DEVELOPING"])
def test_manuals_link_to_files_that_exist(text):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def drawn_tree() -> set[str]:
    """Paths of DEVELOPING.md's tree, relative to the repository."""
    above: list[str] = []
    paths = set()
    for line in re.search(r"```\n(.*?)```", DEVELOPING, re.DOTALL).group(1).splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], line.split()[0].rstrip("/")]
        paths.add("/".join(above))
    return paths


def test_the_tree_for_developers_is_that_of_the_repository():
    drawn = drawn_tree()
    assert [path for path in drawn if not (REPOSITORY / path).exists()] == []
    library = MODULE / "VoxelMorphLib"
    packages = {path.parent.relative_to(REPOSITORY).as_posix() for path in library.rglob("__init__.py")}
    assert packages <= drawn


@pytest.mark.parametrize("text", [CONTRIBUTING, DEVELOPING], ids=["CONTRIBUTING", "DEVELOPING"])
def test_manuals_for_developers_name_files_that_exist(text):
    """Paths are relative to the repository, the module or the library; a plain name may be of any folder."""
    roots = (REPOSITORY, MODULE, MODULE / "VoxelMorphLib")
    names = set(re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|md|json|ui|xml)|(?:[\w.-]+/)+[\w-]+)`", text))
    assert names
    known = {path.name for root in (MODULE, REPOSITORY / "tools") for path in root.rglob("*.*")}
    assert [name for name in names if name not in known and not any((root / name).exists() for root in roots)] == []


@pytest.mark.parametrize("text", [CONTRIBUTING, DEVELOPING], ids=["CONTRIBUTING", "DEVELOPING"])
def test_manuals_for_developers_use_names_that_exist(text):
    folders = (MODULE, REPOSITORY / "Testing", REPOSITORY / "tools")
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    known = {path.stem for path in sources} | {path.name for path in (MODULE / "VoxelMorphLib").rglob("*")}
    known |= {word for path in sources for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    names = set(re.findall(r"`@?(\w+)(?:\([^`]*\))?`", text))
    assert names
    assert names - {"make"} <= known


def test_no_large_file_is_tracked():
    limit = {".safetensors": 4_000_000}
    assert [path for path in tracked_files() if path.stat().st_size > limit.get(path.suffix, 1_000_000)] == []


def test_the_bundled_weights_are_those_of_the_catalogue():
    bundled = {row["file"]: (row["bytes"], row["sha256"]) for row in MODELS if row["file"] and not row["url"]}
    files = {path.name: path for path in (MODULE / "Resources" / "Weights").glob("*.safetensors")}
    assert set(bundled) == set(files)
    for name, path in files.items():
        assert matches(path, *bundled[name])


def test_no_tracked_text_names_a_folder_of_one_machine():
    assert [hit for path in tracked_files() for hit in absolute_paths(path)] == []


def test_no_tracked_text_has_leftovers():
    assert [hit for path in tracked_files() for hit in leftovers(path)] == []


@pytest.mark.parametrize("text", ["open('{}home/me/a.nii')", "cd {}root/x", "see\n{}Users/me", '"{}tmp/a"'])
def test_a_folder_of_one_machine_is_found(tmp_path, text):
    path = tmp_path / "a.py"
    path.write_text(text.format("/"), encoding="utf-8")
    assert len(absolute_paths(path)) == 1


@pytest.mark.parametrize("text", ["# TO" + "DO: later", "raise NotImplemented" + "Error()", "<<<<" + "<<< HEAD"])
def test_a_leftover_is_found(tmp_path, text):
    path = tmp_path / "a.py"
    path.write_text(text, encoding="utf-8")
    assert len(leftovers(path)) == 1
