"""Options of the original's scripts are refused with the whole command line that does the same here."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest
from support.shared_data import REPOSITORY
from VoxelMorphLib.cli import apply, evaluate, register, train
from VoxelMorphLib.cli.old_options import OLD_OPTIONS, TRAIN, new_command
from VoxelMorphLib.core.options import options_of
from VoxelMorphLib.training.recipes import RECIPES, all_options

PARSERS = {"apply": apply._parser, "evaluate": evaluate.parser, "register": register._parser, "train": train.parser}
COMMANDS = {module.__name__.split(".")[-1]: module for module in (apply, evaluate, register, train)}

#: Script of the original with its options -> the same here.
LINES = {
    "train --img-list i.txt --model-dir out --gpu 0": (
        "VoxelMorphTrain --recipe pairwise --imageList i.txt --outputDir out --device cuda:0"
    ),
    "train --img-list i.txt --atlas a.npz --enc 16 32 --dec 32 32 --int-downsize 2 --lambda=0.5 --int-steps 0": (
        "VoxelMorphTrain --recipe atlas --imageList i.txt --atlas a.npz --encoder 16,32 --decoder 32,32 "
        "--intResolution 2 --lambda 0.5 --intSteps 0"
    ),
    "train --img-list i.txt --use-probs --kl-lambda 25 --legacy-image-sigma 0.01 --gpu -1": (
        "VoxelMorphTrain --recipe probabilistic --imageList i.txt --priorLambda 25 --imageSigma 0.01 --device cpu"
    ),
    "train --img-list i.txt --bidir --batch-size 2": (
        "VoxelMorphTrain --recipe bidirectional --imageList i.txt --bidir --batchSize 2"
    ),
    "train scans --atlas_file a.npz --model_dir out --data_loss ncc": (
        "VoxelMorphTrain --recipe atlas --imageList scans --atlas a.npz --outputDir out --imageLoss ncc"
    ),
    "train --img-list i.txt --seg-suffix _seg.npz --labels labels.npz --dice-loss-weight 0.1": (
        "VoxelMorphTrain --recipe semisupervised --imageList i.txt --labelSuffix _seg.npz --labels 2,17 "
        "--diceWeight 0.1 --labelList i.txt"
    ),
    "train --img-list i.txt --oversample-rate 0.3 --image-sigma 0.05": (
        "VoxelMorphTrain --recipe hypermorph --imageList i.txt --oversampleRate 0.3 --imageSigma 0.05"
    ),
    "train --img-list i.txt --pheno-csv ages.csv --deform-loss-weight 0.1": (
        "VoxelMorphTrain --recipe conditional-template --imageList i.txt --attributes ages.csv --deformationWeight 0.1"
    ),
    "train --label-dir 'maps/*.nii.gz' --out-shape 96 96 96 --out-labels labels.npz --vel-res 8 16 --same-subj": (
        "VoxelMorphTrain --recipe synthmorph-labels --labelList 'maps/*.nii.gz' --shape 96,96,96 --labels 2,17 "
        "--velRes 8,16 --sameSubject true"
    ),
    "train --img-list i.txt --no-warp-atlas --stat-pre-warp": (
        "VoxelMorphTrain --recipe atlas-segmentation --imageList i.txt --warpAtlas false --statPostWarp false"
    ),
    "register --moving m.nii --fixed f.nii --moved o.nii --model m.h5 --save-warp w.nii --gpu 1": (
        "VoxelMorphRegister --moving m.nii --fixed f.nii --moved o.nii --model m.h5 --forward w.nii --device cuda:1"
    ),
    "register m.nii f.nii --model_file m.h5 --out_img 'my out.nii' --out_warp w.nii": (
        "VoxelMorphRegister --moving m.nii --fixed f.nii --model m.h5 --moved 'my out.nii' --forward w.nii"
    ),
    "apply --moving m.npz --warp w.npz --moved o.npz --interp nearest": (
        "VoxelMorphApply --input m.npz --transform w.npz --output o.npz --interpolation nearest --reference m.npz"
    ),
    "evaluate --model m.h5 --atlas a.npz --scans b.npz c.npz --labels labels.npz --gpu 0": (
        "VoxelMorphEvaluate --model m.h5 --atlas a.npz --scans b.npz c.npz --labels labels.npz --device cuda:0"
    ),
}


@pytest.fixture(autouse=True)
def labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "labels.npz", labels=np.array([17, 2, 2]))


@pytest.mark.parametrize("old", LINES)
def test_the_refusal_gives_a_command_that_is_understood(old, capsys):
    name, *words = shlex.split(old)
    assert COMMANDS[name].main(words) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Error: -") and printed.endswith(f"The same here: {LINES[old]}\n")
    program, *new = shlex.split(LINES[old])
    parser = PARSERS[name]()
    arguments = parser.parse(new)  # every option of the new line exists
    if name == "train":
        train.read_config(arguments)
    assert program == parser.prog


def test_what_has_no_counterpart_is_left_out_with_the_reason():
    told = new_command("VoxelMorphTrain", ["--img-list", "i.txt", "--initial-epoch", "3"], ("--imageList",))
    assert "are options of the original's scripts. Not needed: --initial-epoch, as a training goes on with" in told
    assert told.endswith("The same here: VoxelMorphTrain --recipe pairwise --imageList i.txt")
    words = ["--moving", "m.nii", "--fixed", "f.nii", "--moved", "o.nii", "--int-steps", "7", "--lr", "1e-3"]
    told = new_command("VoxelMorphTrain", words, {"--lr"})
    assert "is an option of the original's scripts. Not needed: --int-steps, as" in told
    assert told.endswith("The same here: VoxelMorphRegister --moving m.nii --fixed f.nii --moved o.nii")


def test_lines_without_old_options_are_not_touched():
    assert new_command("VoxelMorphTrain", ["--imageList", "--img-lists"], {"--imageList"}) == ""
    assert new_command("another", ["--img-list", "a"], ()) == ""


def test_every_new_name_is_an_option_of_the_command():
    options = {f"--{name}" for o in all_options().values() for name in (o.name, *o.aliases)}
    assert {old.new for old in TRAIN.values() if old.new} <= options
    for name in ("apply", "evaluate", "register"):
        parser = PARSERS[name]()
        assert {old.new for old in OLD_OPTIONS[parser.prog].values() if old.new} <= set(parser._option_string_actions)


def test_the_table_of_the_readme_says_the_same():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("### Old commands") : readme.index("## Models")]
    table = "\n".join(row for row in table.splitlines() if "pairList" not in row)  # two options become one there
    told = re.findall(r"`(--[a-z][a-z-]*)(?: [\w. ]+)?` = `(--\w+)", table)
    assert len(told) > 30
    for old, new in told:
        assert old == new or TRAIN[old].new == new, old
    named = {option.name for recipe in RECIPES.values() for option in options_of(recipe.config).values()}
    assert {new[2:] for _old, new in told} <= named
