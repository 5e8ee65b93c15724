"""The methods that are compared: a row here is all that another preset, model or program needs beside its script."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import ConfigError

from .pairs import GROUPS

PROGRAMS = Path(__file__).parent / "programs"
BRAINS = ("oasis30", "freesurfer", "oasis")


@dataclass(frozen=True)
class Method:
    """A way to register a pair.

    Args:
        title: in the tables.
        script: in `programs`; none leaves both images where their headers put them.
        options: that the script gets: of ours the model and registration options by name.
        package: what pip installs; empty for ours, which runs in this interpreter.
        groups: of pairs it is meant for; None means all.
        start: what it begins with: "affine", our affine start, whose cost counts as its own, or "centres", the middles
            of both images on each other; empty where it looks for itself.
    """

    title: str
    script: str
    options: dict[str, Any] = field(default_factory=dict)
    package: str = ""
    groups: tuple[str, ...] | None = None
    start: str = ""

    def suits(self, group: str) -> bool:
        """Whether the method is meant for pairs of the group."""
        return self.groups is None or group in self.groups

    def interpreter(self, peers_python: str) -> str:
        """The Python that runs it."""
        return peers_python if self.package else sys.executable


def _ours(title: str, model: str, *groups: str, **options: Any) -> Method:
    return Method(f"VoxelMorph, {title}", "run_voxelmorph.py", {"model": model, **options}, groups=groups or None)


def _ants(title: str, kind: str) -> Method:
    return Method(title, "run_ants.py", {"type_of_transform": kind}, "antspyx")


def _greedy(title: str, start: str, *groups: str) -> Method:
    return Method(title, "run_greedy.py", package="picsl_greedy", groups=groups or None, start=start)


#: Our affine start, for the methods that begin with it.
START = _ours("affine", "linear", affine="affine", moved=True)

#: By the name that `--methods` takes. The affine stage of greedy runs away on the crops of hippocampi, which have no
#: background; there the middles of the images on each other serve it better.
METHODS = {
    "headers": Method("none, by the headers", ""),
    "ours-affine": _ours("affine", "linear", affine="affine"),
    "ours-fast": _ours("optimise, fast", "optimise", refine="fast"),
    "ours-balanced": _ours("optimise, balanced", "optimise", refine="balanced"),
    "ours-best": _ours("optimise, best", "optimise", refine="best"),
    "ours-dense": _ours("vxm-dense-brain-T1-mse", "vxm-dense-brain-T1-mse", *BRAINS),
    "ours-dense-balanced": _ours(
        "vxm-dense-brain-T1-mse, balanced", "vxm-dense-brain-T1-mse", *BRAINS, refine="balanced"
    ),
    "ours-hippocampus": _ours("hippocampus-T1-labels", "hippocampus-T1-labels", "hippocampus"),
    "greedy": _greedy("greedy", "", *(group for group in GROUPS if group != "hippocampus")),
    "greedy-centres": _greedy("greedy, centres on each other", "centres", "hippocampus"),
    "greedy-start": _greedy("greedy, after our affine", "affine"),
    "ants": _ants("ANTs SyN", "antsRegistrationSyN[s]"),
    "ants-quick": _ants("ANTs SyN quick", "antsRegistrationSyNQuick[s]"),
    "elastix": Method("elastix B-spline", "run_elastix.py", package="itk-elastix"),
    "convexadam": Method("ConvexAdam, after our affine", "run_convexadam.py", package="convexAdam", start="affine"),
    "fireants": Method("FireANTs", "run_fireants.py", package="fireants"),
}


def why_unavailable(method: Method, peers_python: str) -> str:
    """Why a method cannot run here, with what to do about it; empty if it can."""
    if method.package and not is_installed(method.package, peers_python):
        return f"not installed: {peers_python} -m pip install {method.package}"
    if method.script == "run_voxelmorph.py":
        options = {name: value for name, value in method.options.items() if name not in ("model", "moved")}
        try:
            RegistrationOptions.from_dict(options)
        except ConfigError as reason:
            return f"not in this version: {reason}"
    return ""


@lru_cache
def is_installed(package: str, python: str) -> bool:
    """Whether an interpreter has a package, without importing it."""
    code = "import sys; from importlib.metadata import version; version(sys.argv[1])"
    return subprocess.run([python, "-c", code, package], capture_output=True).returncode == 0
