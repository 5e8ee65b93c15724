"""Options of the train command follow the recipes' dataclasses, and the right source of a value wins."""

from __future__ import annotations

import dataclasses
import json
import warnings

import pytest
from VoxelMorphLib.cli import train
from VoxelMorphLib.cli.train import command_of, main, parser, read_config
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.options import options_of
from VoxelMorphLib.training.options import TrainingConfig
from VoxelMorphLib.training.recipes import RECIPES, config_json, make_config


def config_of(*argv):
    return read_config(parser().parse(argv))


@pytest.fixture
def a_file(tmp_path):
    def write(text):
        path = tmp_path / "config.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return str(path)

    return write


def sample(option):
    """Another value than the default, and how it is written."""
    if option.is_list:
        return (option.kind(3), option.kind(5)), ",".join(str(option.kind(value)) for value in (3, 5))
    if option.choices:
        value = next(choice for choice in option.choices if choice != option.default)
    else:
        value = not option.default if option.kind is bool else option.kind(7)
    return value, str(value)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_field_is_an_option_with_a_help_text(recipe, capsys):
    with pytest.raises(SystemExit):
        main(["--recipe", recipe, "--help"])
    shown = capsys.readouterr().out
    for option in options_of(RECIPES[recipe].config).values():
        assert f"--{option.name} " in shown
        assert len(option.help) > 5


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_option_reaches_its_field(recipe):
    options = options_of(RECIPES[recipe].config).values()
    argv = [word for option in options for word in (f"--{option.name}", sample(option)[1])]
    arguments = parser().parse(argv)
    assert [getattr(arguments, option.field) for option in options] == [sample(option)[0] for option in options]


def test_an_option_means_the_same_in_all_recipes():
    kinds = {}
    for recipe in RECIPES.values():
        for option in options_of(recipe.config).values():
            assert kinds.setdefault(option.field, (option.kind, option.is_list)) == (option.kind, option.is_list)


def test_lambda_is_the_smoothness():
    assert config_of("--lambda", "0.5").smoothness == config_of("--smoothness", "0.5").smoothness == 0.5


def test_a_bare_flag_is_true_and_can_be_denied():
    assert config_of("--bidir").bidir
    assert config_of("--bidir", "--flips").flips
    assert config_of("--recipe", "bidirectional").bidir
    assert not config_of("--recipe", "bidirectional", "--bidir", "false").bidir


def test_lists_are_written_with_commas():
    config = config_of("--encoder", "4,8", "--shape", "16, 32 48")
    assert (config.encoder, config.shape) == ((4, 8), (16, 32, 48))
    assert config_of("--labels", "").labels == ()


def test_the_recipe_decides_the_defaults():
    assert config_of() == make_config("pairwise", {"output_dir": config_of().output_dir})
    assert config_of("--recipe", "hypermorph").epochs == 6000


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_printed_configuration_reads_back_equal(recipe, a_file, capsys):
    small = "--encoder", "4,4", "--decoder", "4,4,4"
    assert main(["--recipe", recipe, "--printConfig", "--seed", "3", *small]) == 0
    path = a_file(capsys.readouterr().out)
    assert config_of("--config", path) == config_of("--recipe", recipe, "--seed", "3", *small)


def test_given_options_come_before_the_file_and_the_file_before_defaults(a_file):
    path = a_file({"recipe": "semisupervised", "epochs": 5, "lr": 0.5})
    config = config_of("--config", path, "--lr", "0.25")
    assert (config.recipe, config.epochs, config.lr, config.batch_size) == ("semisupervised", 5, 0.25, 1)


def test_a_given_recipe_comes_before_that_of_the_file(a_file):
    assert config_of("--config", a_file({"recipe": "semisupervised"}), "--recipe", "bidirectional").bidir


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = config_of("--imageList", "scans/*.nii.gz", "--mergeLabels", "3=4", "--outputDir", "out")
    assert config.image_list == str(tmp_path / "scans" / "*.nii.gz")
    assert (config.merge_labels, config.output_dir) == ("3=4", str(tmp_path / "out"))
    config = config_of("--recipe", "atlas-segmentation", "--probAtlas", "atlas.npz", "--initStat", "stat.npz")
    assert (config.prob_atlas, config.init_stat) == (str(tmp_path / "atlas.npz"), str(tmp_path / "stat.npz"))


def test_a_form_passes_its_defaults_without_meaning_them(a_file):
    untouched = ["--formDefaults", "pairwise", "--recipe", "pairwise", "--epochs", "1500", "--lr", "0.0001"]
    path = a_file({"recipe": "hypermorph", "lr": 0.5})
    assert (config_of(*untouched).epochs, config_of(*untouched[:3], "hypermorph").epochs) == (1500, 6000)
    config = config_of(*untouched, "--config", path, "--diceWeight", "0.01", "--epochs", "7")
    assert (config.recipe, config.lr, config.epochs) == ("hypermorph", 0.5, 7)
    with pytest.raises(ConfigError, match="no option --diceWeight"):
        config_of(*untouched, "--diceWeight", "0.5")


WRONG = {
    "--recipe nothing": r"invalid choice: 'nothing'",
    "--epochs many": r"'many' is not a whole number",
    "--lr fast": r"'fast' is not a number",
    "--bidir maybe": r"'maybe' is not true or false",
    "--encoder 4,x": r"'4,x' is not a whole number, several separated by commas",
    "--epochs 0": r"epochs is 0; choose a number from 1",
    "--imageLoss best": r"image_loss is 'best'; choose one of ncc",
    "--shape 16,16": r"shape is \(16, 16\); give three",
    "--diceWeight 1": r"The recipe pairwise has no option --diceWeight; it belongs to semisupervised",
    "--images scans": r"Unrecognized arguments: --images scans",
    "--resume": r"--resume needs --outputDir",
    "--resume --outputDir nowhere": r"There is nothing to resume: .*last\.pt does not exist",
    "--export a.pt": r"--export needs --model",
    "--export a.pt --model m.pt": r"a\.pt does not exist",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_options_are_one_sentence(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Error: ") and printed.count("\n") == 1
    with pytest.raises(ConfigError, match=WRONG[line]):
        raise ConfigError(printed)


FILES = {
    "absent": (None, r"cannot be read \(.*No such file"),
    "no JSON": ("{", r"cannot be read \(Expecting"),
    "a list": ([], r"must be one JSON object, got list"),
    "foreign option": ({"speed": 3}, r"has no option speed"),
    "unknown recipe": ({"recipe": "magic"}, r"There is no recipe 'magic'\. Choose one of pairwise"),
    "recipe of another type": ({"recipe": ["pairwise"]}, r"There is no recipe \['pairwise'\]"),
    "text for a number": ({"lr": "fast"}, r"lr is 'fast'; give a number"),
    "fraction for a whole number": ({"epochs": 1.5}, r"epochs is 1\.5; give a whole number"),
    "truth for a number": ({"epochs": True}, r"epochs is True; give a whole number"),
    "number for a list": ({"encoder": 4}, r"encoder is 4; give a list, each item a whole number"),
    "list for a number": ({"seed": [4]}, r"seed is \[4\]; give a whole number"),
    "texts in a list": ({"encoder": ["4"]}, r"encoder is \['4'\]; give a list"),
}


@pytest.mark.parametrize("kind", FILES)
def test_wrong_configuration_files_are_one_sentence(kind, a_file, tmp_path, capsys):
    content, message = FILES[kind]
    path = str(tmp_path / "absent.json") if content is None else a_file(content)
    assert main(["--config", path, "--printConfig"]) == 2
    with pytest.raises(ConfigError, match=message):
        raise ConfigError(capsys.readouterr().err)


def test_a_command_line_makes_the_same_training_again(tmp_path):
    config = config_of(
        "--recipe", "semisupervised", "--encoder", "4,8", "--flips", "--imageList", f"{tmp_path}/a b.txt"
    )
    command = command_of(config)
    assert command == ("VoxelMorphTrain --recipe semisupervised --imageList 'a b.txt' --flips True --encoder 4,8")


def test_every_field_is_described():
    assert options_of(TrainingConfig)["lr"].help.startswith("learning rate")
    for recipe in RECIPES.values():
        assert list(options_of(recipe.config)) == [field.name for field in dataclasses.fields(recipe.config)]


def test_recipes_are_listed(capsys):
    assert main(["--listRecipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)


def test_a_configuration_names_its_recipe():
    assert json.loads(config_json(make_config("template", {})))["recipe"] == "template"


def test_a_warning_is_said_once(monkeypatch, capsys):
    def command(_argv):
        warnings.warn("no header", stacklevel=1)
        warnings.warn("no header", stacklevel=1)
        warnings.warn("a cut file", stacklevel=1)

    monkeypatch.setattr(train, "_command", command)
    assert main([]) == 0
    assert capsys.readouterr() == ("Warning: no header\nWarning: a cut file\n", "")
