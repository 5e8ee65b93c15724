"""Presets: those of the extension hold what they say, own files come and go, damaged ones are told in a sentence."""

from __future__ import annotations

import json

import pytest
from VoxelMorphLib.cli.register import main
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import AccessError, ConfigError, OutputError
from VoxelMorphLib.registration.presets import (
    GENERAL,
    Preset,
    find_preset,
    import_preset,
    is_own_preset,
    preset_of,
    presets,
    remove_preset,
    save_preset,
)
from VoxelMorphLib.weights.catalogue import DEFAULT_MODEL, load_catalogue

OPTIONS = RegistrationOptions(similarity="mind", smoothness=1.5, device="cpu", seed=7)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    monkeypatch.setenv("VXM_CACHE", str(folder))
    return folder


@pytest.fixture
def a_preset():
    return Preset.of("Knee, T1 & PD", DEFAULT_MODEL, OPTIONS)


def test_the_presets_of_the_extension_can_be_used():
    known, problems = presets()
    assert problems == []
    assert next(iter(known)) == GENERAL
    assert len({preset.title for preset in known.values()}) == len(known)
    for name, preset in known.items():
        assert preset.model in load_catalogue(), name
        assert preset.description, name
        assert preset_of(preset.model, preset.applied(), known) == name


def test_the_first_preset_is_what_nobody_chose():
    assert find_preset(GENERAL).settings() == {"model": DEFAULT_MODEL, "options": RegistrationOptions()}


def test_what_was_chosen_is_kept_without_what_belongs_to_the_machine(a_preset):
    assert a_preset.options == {"similarity": "mind", "smoothness": 1.5}
    assert a_preset.applied(RegistrationOptions(device="cuda:1", smoothness=3.0)) == RegistrationOptions(
        similarity="mind", smoothness=1.5, device="cuda:1"
    )


def test_an_own_preset_is_saved_found_shared_and_deleted(a_preset, cache, tmp_path):
    name = save_preset(a_preset)
    assert (name, is_own_preset(name)) == ("knee-t1-pd", True)
    assert find_preset(name) == presets()[0][name] == a_preset
    assert preset_of(DEFAULT_MODEL, OPTIONS, presets()[0]) == name
    shared = (cache / "presets" / f"{name}.json").rename(tmp_path / "colleague.json")
    assert find_preset(shared) == a_preset
    assert import_preset(shared) == "colleague"
    remove_preset("colleague")
    assert "colleague" not in presets()[0]
    assert list((cache / "presets").iterdir()) == []


def test_saving_under_the_same_title_replaces(a_preset):
    save_preset(a_preset)
    other = Preset(a_preset.title, model="linear")
    assert find_preset(save_preset(other)) == other


@pytest.mark.parametrize("title", ["", "  ", "!?"])
def test_a_title_without_letters_is_refused(title):
    with pytest.raises(ConfigError, match="title"):
        save_preset(Preset(title))


def test_the_names_of_the_extension_are_taken():
    with pytest.raises(ConfigError, match="same-contrast is the name of a preset of the extension"):
        save_preset(Preset("Same contrast"))
    with pytest.raises(ConfigError, match="no preset of yours"):
        remove_preset("same-contrast")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("{", "cannot be read as JSON"),
        ("[" * 50_000, "cannot be read as JSON"),
        ("[]", "holds no object"),
        ('{"model": "optimise"}', "no title"),
        ('{"title": "a", "colour": 1}', "colour"),
        ('{"title": 3}', "title is 3"),
        ('{"title": "a", "options": []}', "options is"),
        ('{"title": "a", "options": {"smothness": 1}}', "no option smothness"),
        ('{"title": "a", "options": {"smoothness": -1}}', "smoothness is -1"),
        ('{"title": "a", "options": {"smoothness": "much"}}', "smoothness is 'much'"),
        ('{"title": "a", "options": {"device": "cuda"}}', "belongs to one computer"),
        ('{"title": "a", "model": ""}', "title and a model"),
    ],
)
def test_a_damaged_file_is_told_and_takes_no_other_preset_away(text, reason, cache):
    path = cache / "presets" / "mine.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=reason):
        find_preset(path)
    known, problems = presets()
    assert GENERAL in known
    assert len(problems) == 1
    assert str(path) in problems[0]
    with pytest.raises(ConfigError):
        import_preset(path)


def test_an_own_file_cannot_stand_for_a_preset_of_the_extension(cache):
    path = cache / "presets" / "finest.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"title": "Mine"}', encoding="utf-8")
    known, problems = presets()
    assert known["finest"].title != "Mine"
    assert "Rename it" in problems[0]


def test_a_folder_that_cannot_be_made_is_told(a_preset, cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be made"):
        save_preset(a_preset)


def test_an_unknown_preset_suggests_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean quick-look"):
        find_preset("quick-lock")


def test_the_command_lists_presets(capsys):
    assert main(["--listPresets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(presets()[0])
    assert "--similarity mind" in next(line for line in lines if line.startswith("one-patient-contrasts"))


def test_the_command_takes_a_preset_and_what_is_given_wins(tmp_path, monkeypatch, capsys):
    from VoxelMorphLib.cli import register

    asked = {}

    def read(**fields):
        asked.update(fields)
        raise ConfigError("enough")

    monkeypatch.setattr("VoxelMorphLib.registration.request.RegistrationRequest.read", read)
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("fixed", "moving")}
    argv = [f"--{name}={path}" for name, path in files.items()] + [f"--moved={tmp_path / 'moved.nii.gz'}"]
    assert register.main([*argv, "--preset", "one-patient-contrasts", "--smoothness", "2"]) == 2
    assert asked["options"] == RegistrationOptions(affine="rigid", similarity="mind", smoothness=2.0)
    assert register.main([*argv, "--preset", "one-patient-rigid", "--model", "optimise"]) == 2
    assert (asked["model"], asked["options"].affine) == ("optimise", "rigid")
    shared = tmp_path / "shared.json"
    shared.write_text(json.dumps({"title": "Mine", "model": "linear"}), encoding="utf-8")
    assert register.main([*argv, "--preset", str(shared)]) == 2
    assert asked["model"] == "linear"
    assert register.main([*argv, "--preset", "nonsense"]) == 2
    assert "There is no preset 'nonsense'" in capsys.readouterr().err


def test_the_batch_command_takes_a_preset_for_all_rows():
    from VoxelMorphLib.cli.batch import common_of, parser

    arguments = parser().parse(["--pairs", "pairs.csv", "--preset", "one-patient-rigid", "--smoothness", "2"])
    common = common_of(arguments)
    assert (common.model, common.options) == ("linear", {"affine": "rigid", "smoothness": 2.0})


@pytest.mark.parametrize("folder", ["bundled", "own"])
def test_a_folder_that_cannot_be_read_takes_the_other_one_not_away(folder, a_preset, cache, monkeypatch):
    from VoxelMorphLib.registration import presets as module

    name, closed = save_preset(a_preset), module.BUNDLED_PRESETS if folder == "bundled" else cache / "presets"
    look = module.entries

    def refuse(path):
        if path == closed:
            raise AccessError(f"{path} cannot be looked at.")
        return look(path)

    monkeypatch.setattr(module, "entries", refuse)
    known, problems = presets()
    assert (name in known, GENERAL in known) == (folder == "bundled", folder == "own")
    assert problems == [f"{closed} cannot be looked at."]
