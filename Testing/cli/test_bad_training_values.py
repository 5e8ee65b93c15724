"""A matrix of values that no option of a training can have: exit code 2 and one sentence, before anything is read."""

from __future__ import annotations

import pytest
from VoxelMorphLib.cli.train import main
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.options import Option, options_of
from VoxelMorphLib.training.launch import requested_processes
from VoxelMorphLib.training.options import TrainingConfig

DIGITS = "9" * 400


def impossible(option: Option) -> list[str]:
    """Texts that the option cannot mean."""
    if option.choices:
        return ["nonsense", "", "1"]
    if option.kind is bool:
        return ["perhaps", "2"]
    if option.kind is str or option.is_list:
        return []
    texts = ["many", "nan", "inf", DIGITS, f"-{DIGITS}", "1,2", "0x10"]
    return texts + [str(option.low - 1), str(option.high * 2 + 1)]


NUMBERS = [(option.name, text) for option in options_of(TrainingConfig).values() for text in impossible(option)]
LISTS = [
    ("encoder", "1000000000,8"),
    ("encoder", ",".join(["4"] * 100_000)),
    ("encoder", f"{DIGITS},8"),
    ("encoder", "8,-8"),
    ("encoder", "8,0"),
    ("encoder", "8,many"),
    ("encoder", "8.5"),
    ("decoder", "100000"),
    ("decoder", ",".join(["4"] * 65)),
    ("decoder", f"8,-{DIGITS}"),
    ("shape", "16,16"),
    ("shape", "16,16,16,16"),
    ("shape", "0,16,16"),
    ("shape", "-16,16,16"),
    ("shape", "1000000000,16,16"),
    ("shape", f"{DIGITS},16,16"),
    ("shape", "16,16,many"),
    ("labels", f"1,{DIGITS}"),
    ("labels", "1.5"),
    ("labels", "one"),
    ("orientation", "XYZ"),
    ("orientation", "RRR"),
    ("orientation", "RA"),
    ("orientation", ""),
]


@pytest.mark.parametrize(("name", "text"), [*NUMBERS, *LISTS], ids=lambda text: text[:12])
def test_an_impossible_value_is_one_sentence(name, text, capsys):
    assert main(["--imageList", "images", f"--{name}", text, "--printConfig"]) == 2
    printed, said = capsys.readouterr()
    assert printed == ""
    assert said.startswith("Error: ") and said.count("\n") == 1 and said.rstrip().endswith(".")


@pytest.mark.parametrize("nodes", [2, 3, 1024])
def test_machines_that_nothing_joins_are_refused_at_once(monkeypatch, nodes):
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS", "MASTER_ADDR", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=f"nodes is {nodes}, but nothing joins this machine with the others"):
        requested_processes(TrainingConfig(nodes=nodes))
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("NODE_RANK", "0")
    assert requested_processes(TrainingConfig(nodes=nodes)) == (1, nodes)
