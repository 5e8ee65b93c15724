"""A registration of the scene -> the page of its report: pictures, measures, and where everything comes from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...evaluation.results import Result
from ...evaluation.subject import Subject
from ..background.steps import Steps
from .evaluate import Evaluated, Seen, measuring

#: Field of the nodes of a registration -> role of the file on the page.
_ROLES = {
    "fixed": "fixed",
    "moving": "moving",
    "moved": "moved",
    "forward": "transform",
    "fixed_segmentation": "fixedLabels",
    "moving_segmentation": "movingLabels",
    "fixed_landmarks": "fixedPoints",
    "moving_landmarks": "movingPoints",
}


def report_steps(nodes: Evaluated, path: Path) -> Steps:
    """Measure a registration and write its page; the scene is only read. Gives the path.

    Args:
        nodes: what was registered, and what is known about it.
        path: of the .html file, in an existing folder.

    Raises:
        DependencyError: matplotlib is not installed.
        OutputError: the file cannot be written, or a node is missing or left the scene.
        VoxelMorphError: as `evaluation_steps`.
    """
    from ...core.io.files import check_writable

    check_writable(path)
    name = nodes.moving.GetName()
    known = {role: getattr(nodes, field) for field, role in _ROLES.items()}
    files = {role: node.GetName() for role, node in known.items() if node is not None}
    seen, rows = yield from measuring(replace(nodes, is_fresh=False))  # the page shows both images
    yield lambda: _write(_subject(name, seen), Result(name, rows, files), path)
    return path


def _subject(name: str, seen: Seen) -> Subject:
    moved = seen.after if seen.is_moved else None
    return Subject(name, fixed=seen.fixed, moving=seen.before, moved=moved, forward=seen.forward)


def _write(subject: Subject, result: Result, path: Path) -> None:
    from ...report.evaluation_page import evaluation_page

    evaluation_page(subject, result).write(path)
