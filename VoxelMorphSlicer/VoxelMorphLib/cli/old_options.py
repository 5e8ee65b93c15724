"""Options of the original's scripts -> the whole command line here, for the sentence that refuses them.

Scripts and their options: voxelmorph branches dev, master (scripts/tf) and legacy (src).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

Words = list[str]


@dataclass(frozen=True)
class Old:
    """One option of the original.

    Args:
        new: what takes its place, such as "--imageList"; "" drops it.
        values: of the new option, made from those of the old one.
        because: why it is dropped, or what else is to be known.
    """

    new: str = ""
    values: Callable[[Words], Words] = lambda words: words
    because: str = ""


def _joined(words: Words) -> Words:
    """`16 32 32` as `16,32,32`."""
    return [",".join(words)]


def _fixed(*words: str) -> Callable[[Words], Words]:
    """A flag as an option with a value."""
    return lambda _words: list(words)


def _labels(words: Words) -> Words:
    """The numbers in a .npy or .npz file of labels, the words themselves where it cannot be read."""
    if len(words) != 1 or Path(words[0]).suffix not in (".npy", ".npz"):
        return _joined(words)
    import numpy as np

    try:
        loaded = np.load(words[0], allow_pickle=False)
        array = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
        return [",".join(str(int(number)) for number in np.unique(array) if number)]
    except (OSError, ValueError, LookupError, TypeError):
        return [f"<the numbers in {words[0]}>"]


def _device(words: Words) -> Words:
    """A number of a graphics card, or -1 for the processor; of several the first."""
    first = words[0].split(",")[0] if words else "0"
    return ["cpu"] if first.startswith("-") else [f"cuda:{first}"]


_GPU = {"--gpu": Old("--device", _device), "-g": Old("--device", _device)}
_CHANNELS = Old(because="channels of a file are read as they are")
_RESUMING = Old(because="a training goes on with --resume")

TRAIN: dict[str, Old] = {
    **_GPU,
    "--img-list": Old("--imageList"),
    "--img-prefix": Old("--imagePrefix"),
    "--img-suffix": Old("--imageSuffix"),
    "--model-dir": Old("--outputDir"),
    "--atlas-file": Old("--atlas"),
    "--batch-size": Old("--batchSize"),
    "--steps-per-epoch": Old("--stepsPerEpoch"),
    "--load-weights": Old("--initWeights"),
    "--load-model": Old("--initWeights"),
    "--load-model-file": Old("--initWeights"),
    "--init-weights": Old("--initWeights"),
    "--initial-epoch": _RESUMING,
    "--init-epoch": _RESUMING,
    "--enc": Old("--encoder", _joined),
    "--dec": Old("--decoder", _joined),
    "--int-steps": Old("--intSteps"),
    "--int-downsize": Old("--intResolution"),
    "--multichannel": _CHANNELS,
    "--use-probs": Old(),
    "--image-loss": Old("--imageLoss"),
    "--data-loss": Old("--imageLoss"),
    "--kl-lambda": Old("--priorLambda"),
    "--prior-lambda": Old("--priorLambda"),
    "--legacy-image-sigma": Old("--imageSigma"),
    "--image-sigma": Old("--imageSigma"),
    "--cudnn-nondet": Old(because="fast kernels are used anyway"),
    "--oversample-rate": Old("--oversampleRate"),
    "--test-reg": Old(because="VoxelMorphRegister --model tries the result"),
    "--seg-prefix": Old("--labelPrefix"),
    "--seg-suffix": Old("--labelSuffix"),
    "--grad-loss-weight": Old("--smoothness"),
    "--dice-loss-weight": Old("--diceWeight"),
    "--surf-points": Old("--surfPoints"),
    "--surf-bidir": Old("--surfBidir", _fixed("true")),
    "--sdt-resize": Old("--sdtResize"),
    "--num-labels": Old("--labelsPerStep"),
    "--align-segs": Old(because="VoxelMorphRegister --model linear aligns files"),
    "--smooth-seg": Old(because="surfaces are found at a fraction of a voxel"),
    "--dt-sigma": Old("--dtSigma"),
    "--init-template": Old("--atlas"),
    "--image-loss-weight": Old("--imageWeight"),
    "--atlas-wt": Old("--imageWeight"),
    "--mean-loss-weight": Old("--meanWeight"),
    "--mean-lambda": Old("--meanWeight"),
    "--pheno-csv": Old("--attributes"),
    "--deform-loss-weight": Old("--deformationWeight"),
    "--mapping": Old(because="--mergeLabels reads labels as others"),
    "--mapping-file": Old(because="--mergeLabels reads labels as others"),
    "--no-warp-atlas": Old("--warpAtlas", _fixed("false")),
    "--stat-pre-warp": Old("--statPostWarp", _fixed("false")),
    "--stat-post-warp": Old("--statPostWarp", lambda words: [words[0].lower()] if words else ["true"]),
    "--init-stat": Old("--initStat"),
    "--init-stats": Old("--initStat"),
    "--label-dir": Old("--labelList"),
    "--log-dir": Old(because="curves lie in the output folder"),
    "--sub-dir": Old(because="every training has its own output folder"),
    "--same-subj": Old("--sameSubject", _fixed("true")),
    "--blur-std": Old("--blurStd"),
    "--gamma": Old("--gammaStd"),
    "--vel-std": Old("--velStd"),
    "--vel-res": Old("--velRes", _joined),
    "--bias-std": Old("--biasStd"),
    "--bias-res": Old("--biasRes", _joined),
    "--out-shape": Old("--shape", _joined),
    "--out-labels": Old("--labels", _labels),
    "--save-freq": Old("--saveEvery"),
    "--reg-param": Old("--smoothness"),
    "--verbose": Old(because="progress is always told"),
    "--ncc-win": Old("--nccWindow"),
    "--n-iter": Old("--stepsPerEpoch", because="--epochs times --stepsPerEpoch is the number of steps"),
    "--n-save-iter": Old(because="--saveEvery counts epochs"),
}

REGISTER: dict[str, Old] = {
    **_GPU,
    "--warp": Old("--forward"),
    "--save-warp": Old("--forward"),
    "--model-file": Old("--model"),
    "--out-img": Old("--moved"),
    "--out-warp": Old("--forward"),
    "--multichannel": _CHANNELS,
}

APPLY: dict[str, Old] = {
    "--gpu": Old(because="nothing is computed on a graphics card"),
    "-g": Old(because="nothing is computed on a graphics card"),
    "--moving": Old("--input"),
    "--warp": Old("--transform"),
    "--moved": Old("--output"),
    "--interp": Old("--interpolation"),
    "--multichannel": _CHANNELS,
}

_COMPLETING = Old(because="the table of --pairs names whole paths")
EVALUATE: dict[str, Old] = {
    **_GPU,
    **dict.fromkeys(("--img-prefix", "--img-suffix", "--seg-prefix", "--seg-suffix"), _COMPLETING),
    "--multichannel": _CHANNELS,
}

#: What train_instance.py shares with VoxelMorphRegister; all else of it is found by the optimisation itself.
_OF_A_PAIR = ("--moving", "--fixed", "--moved", "--model")
_NAMES_OF_BOTH = ("--steps", "--lr", "--epochs", "--lambda", "--multiplier", "--bidir")
_OF_TRAININGS = Old(because="the optimisation of a pair chooses it")

#: By the name of the command; options under a name that the command has itself are not old.
OLD_OPTIONS = {
    "VoxelMorphTrain": TRAIN,
    "VoxelMorphRegister": REGISTER,
    "VoxelMorphApply": APPLY,
    "VoxelMorphEvaluate": EVALUATE,
}

#: What tells the script: option -> recipe, the first that occurs counts.
_RECIPES = {
    "--label-dir": "synthmorph-labels",
    "--pheno-csv": "conditional-template",
    "--oversample-rate": "hypermorph",
    "--test-reg": "hypermorph",
    "--surf-points": "surfaces",
    "--surf-bidir": "surfaces",
    "--sdt-resize": "surfaces",
    "--dt-sigma": "surfaces",
    "--init-template": "template",
    "--mean-loss-weight": "template",
    "--mean-lambda": "template",
    "--no-warp-atlas": "atlas-segmentation",
    "--stat-pre-warp": "atlas-segmentation",
    "--init-stat": "atlas-segmentation",
    "--init-stats": "atlas-segmentation",
    "--mapping": "atlas-segmentation",
    "--dice-loss-weight": "semisupervised",
    "--seg-prefix": "semisupervised",
    "--seg-suffix": "semisupervised",
    "--use-probs": "probabilistic",
    "--prior-lambda": "probabilistic",
    "--bidir": "bidirectional",
    "--atlas": "atlas",
    "--atlas-file": "atlas",
}


def new_command(program: str, argv: Sequence[str], known: Collection[str]) -> str:
    """What to do instead of a command line with options of the original; "" where it has none.

    Args:
        program: name of the command.
        argv: its arguments.
        known: options that the command has, with their dashes.
    """
    table = OLD_OPTIONS.get(program, {})
    groups = [(_hyphens(name, known), values) for name, values in _groups(argv)]
    old = [name for name, _ in groups if name in table and name not in known]
    if not old:
        return ""
    if program == "VoxelMorphTrain" and "--moving" in dict(groups):  # train_instance.py fits one pair
        program, known = "VoxelMorphRegister", _OF_A_PAIR
        table = {**dict.fromkeys((*TRAIN, *_NAMES_OF_BOTH), _OF_TRAININGS), **REGISTER}
    line, notes = _translated(groups, table, known)
    if program == "VoxelMorphTrain" and "--recipe" not in line:
        line = [*_recipe([name for name, _ in groups]), *line]
    line = [program, *line, *_needed(program, line)]
    left_out = f"Not needed: {'; '.join(notes)}. " if notes else ""
    return f"{_listed(old)} of the original's scripts. {left_out}The same here: {shlex.join(line)}"


def _groups(argv: Sequence[str]) -> Iterator[tuple[str, Words]]:
    """Each option with its values; values before the first option have the name ""."""
    name, values = "", []
    for word in argv:
        if word.startswith("--") or (word.startswith("-") and word[1:2].isalpha()):
            if name or values:
                yield name, values
            name, is_joined, value = word.partition("=")
            values = [value] if is_joined else []
        else:
            values.append(word)
    if name or values:
        yield name, values


def _hyphens(name: str, known: Collection[str]) -> str:
    """The branch legacy writes `--model_dir`."""
    return name if name in known else name.replace("_", "-")


def _translated(
    groups: Sequence[tuple[str, Words]], table: dict[str, Old], known: Collection[str]
) -> tuple[Words, list[str]]:
    """The new words, and why options are left out."""
    line: Words = []
    notes = []
    for name, values in groups:
        if name == "":
            line += _positional(values, known)
        elif name in known or name not in table:
            kept = _labels(values) if name == "--labels" and len(values) == 1 and "--recipe" in known else values
            line += [name, *kept]
        elif table[name].new:
            line += [table[name].new, *table[name].values(values)]
        if name not in known and name in table and table[name].because:
            notes.append(f"{name}, as {table[name].because}")
    return line, notes


def _positional(values: Words, known: Collection[str]) -> Words:
    """The folder of the older training scripts, or the moving and fixed image of the oldest register.py."""
    if "--imageList" in known:
        return ["--imageList", *values[:1]]
    return [word for pair in zip(("--moving", "--fixed"), values) for word in pair]


def _recipe(names: Collection[str]) -> Words:
    found = next((recipe for name, recipe in _RECIPES.items() if name in names), "pairwise")
    return ["--recipe", found]


def _needed(program: str, line: Words) -> Words:
    """Options that the original did without."""

    def value(name: str) -> Words:
        return line[line.index(name) + 1 :][:1] if name in line else []

    if program == "VoxelMorphApply" and "--reference" not in line:  # warp.py keeps the grid of its input
        return ["--reference", *value("--input")] if "--input" in line else []
    has_labels = "--labelPrefix" in line or "--labelSuffix" in line
    if program == "VoxelMorphTrain" and has_labels and "--labelList" not in line:  # one list completed in two ways
        return ["--labelList", *value("--imageList")]
    return []


def _listed(names: Sequence[str]) -> str:
    several = list(dict.fromkeys(names))
    some = f"{', '.join(several[:3])}{', ...' * (len(several) > 3)}"
    return f"{some} {'is an option' if len(several) == 1 else 'are options'}"
