"""Recorded cases of the original implementation: what lies in the folder, how close is close, how many pass.

A test covers a case by taking it as parameter `case`:

    @pytest.mark.parametrize("case", cases("B_networks", lambda case: case.family == "unet"))
    def test_network(case): ...

At the end of the run `Testing/conftest.py` prints how many of all recorded cases passed. A case nobody has built yet is
skipped through `not_built` and so counts as missing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from .shared_data import reference_folder

GROUPS = ("C_functions", "B_networks", "A_full_size")

#: Key of a test report's user property that names the case.
PROPERTY = "reference_case"


@dataclass(frozen=True)
class ReferenceCase:
    """One recorded call.

    Args:
        group: one of GROUPS, the subfolder.
        name: the recorded name.
        description: the JSON written with it: `what` and `args` of a function, `cls` and `args` of a network.
        archive: the .npz with its arrays.
    """

    group: str
    name: str
    description: dict = field(repr=False, compare=False)
    archive: Path = field(repr=False)

    @property
    def key(self) -> str:
        return f"{self.group}/{self.name}"

    @property
    def family(self) -> str:
        """The name before the dimension: "vecint" of "vecint_3d_ss_7"; the weights of a full-size run."""
        if self.group == "A_full_size":
            return self.name.split("__")[0]
        return re.split(r"_[1-9]d(?=_|$)", self.name)[0]

    @property
    def kind(self) -> str:
        """The class or function that built a recorded network, without its module."""
        return self.description["cls"].split(".")[-1].split(" ")[0]

    @property
    def args(self) -> dict:
        return self.description.get("args", {})

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """The arrays `in_*` by name, without the prefix."""
        return self._arrays("in_")

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        """The arrays `out_*` by name, without the prefix; those stored once under another name included."""
        outputs = self._arrays("out_")
        for name, stored in self.description.get("identical_arrays_stored_once", {}).items():
            outputs.setdefault(name[4:], outputs[stored[4:]])
        return outputs

    def _arrays(self, prefix: str) -> dict[str, np.ndarray]:
        start = f"{self.name}/{prefix}" if self.group == "C_functions" else prefix
        archive = _open(self.archive)
        return {key[len(start) :]: archive[key] for key in archive.files if key.startswith(start)}


def recorded(group: str) -> list[ReferenceCase]:
    """All cases of a group in the folder that VXM_REFERENCE names; none where it is absent."""
    try:
        folder = reference_folder() / group
    except pytest.skip.Exception:
        return []
    if group == "C_functions":
        listed = folder / "functions.json"
        descriptions = _json(listed) if listed.is_file() else {}
        return [ReferenceCase(group, name, d, folder / d["file"]) for name, d in descriptions.items()]
    paths = [path for path in sorted(folder.glob("*.json")) if path.stem != "inputs"]
    return [ReferenceCase(group, path.stem, _json(path), path.with_suffix(".npz")) for path in paths]


def cases(group: str, select: Callable[[ReferenceCase], bool] = lambda case: True) -> list:
    """The selected cases as parameters for `pytest.mark.parametrize("case", ...)`."""
    found = [pytest.param(case, id=case.name) for case in recorded(group) if select(case)]
    return found or [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=f"no recorded {group} to compare"))]


def not_built(case: ReferenceCase) -> None:
    """Skip: the case counts as missing."""
    pytest.skip(f"not built yet: {case.description.get('what') or case.description.get('cls') or case.name}")


def assert_within(
    result, reference: np.ndarray, relative: float, absolute: float | None = None, flips: float = 0.0
) -> None:
    """|result - reference| <= absolute + relative * max|reference|, NaN and infinity in the same places.

    Args:
        result: array or tensor, of the shape of `reference`.
        reference: recorded array.
        relative, absolute: tolerance as the reference's README states it; `absolute` is `relative` unless given.
        flips: fraction of the values that may differ by any amount (voxels exactly on a border or a tie).
    """
    actual = np.asarray(result.detach().cpu() if hasattr(result, "detach") else result, dtype=np.float64)
    expected = np.asarray(reference, dtype=np.float64)
    assert actual.shape == expected.shape, f"shape {actual.shape}, recorded {expected.shape}"
    finite = np.isfinite(expected)
    assert np.array_equal(actual[~finite], expected[~finite], equal_nan=True), "NaN or infinity elsewhere"
    if not finite.any():
        return
    difference = np.abs(actual[finite] - expected[finite])
    limit = (relative if absolute is None else absolute) + relative * np.abs(expected[finite]).max()
    wrong = float((~(difference <= limit)).mean())
    assert wrong <= flips, (
        f"largest difference {difference.max():.3g}, allowed {limit:.3g}; {wrong:.2%} of values beyond"
    )


def summary(outcomes: Iterable[tuple[str, bool]]) -> list[str]:
    """The lines that end a test run.

    Args:
        outcomes: (key of the case, passed) of every test that took a case; one that was skipped did not pass.

    Returns:
        "reference: X of Y cases" and, where cases are missing, their number per family. A case passes when all its
        tests do. No line where no test took a case.
    """
    passed: dict[str, bool] = {}
    for key, outcome in outcomes:
        passed[key] = passed.get(key, True) and outcome
    if not passed:
        return []
    everything = [case for group in GROUPS for case in recorded(group)]
    missing = Counter(f"{case.group}/{case.family}" for case in everything if not passed.get(case.key))
    lines = [f"reference: {len(everything) - sum(missing.values())} of {len(everything)} cases"]
    if missing:
        lines.append("missing: " + ", ".join(f"{family} {count}" for family, count in sorted(missing.items())))
    return lines


@cache
def _open(path: Path) -> np.lib.npyio.NpzFile:
    return np.load(path)


@cache
def _json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
