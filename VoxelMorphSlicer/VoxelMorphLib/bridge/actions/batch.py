"""Many pairs registered by a process of the batch command: a folder or table on the disk, or volumes of the scene."""

from __future__ import annotations

import csv
import filecmp
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer

from ...batch.places import safe_name
from ...batch.results import JOURNAL, RESULTS, read_results
from ...batch.row import FILES
from ...core.config import RegistrationOptions
from ...core.errors import ImageError, OutputError
from ...core.image import Image
from ...core.io.files import extension, make_folder, replacing
from ...core.io.names import stem
from ...core.io.paths import exists, is_file
from ...core.io.tables import TABLES
from ...core.options import changed_options
from ...core.progress import Progress, silent
from ...core.python_process import python_command
from ..background.child_process import ChildProcess
from ..background.steps import Steps
from ..scene.rollback import children, hierarchy_of
from ..scene.volume_nodes import has_voxels, image_from_node, label_map_from_node
from .results_table import check_table, fill_columns

#: Folder of the output folder for volumes that are in the scene only.
INPUTS = "inputs"
#: Columns of the table in the scene.
SHOWN = (
    *("id", "status", "sentence", "dice_before", "dice_after", "similarity_before", "similarity_after"),
    *("folded_percent", "warnings", "seconds"),
)
#: Seconds in which the pairs that are computed may end after a cancellation.
STOPPING_S = 30.0
_WORDS = {
    "name": "batch",
    "kept": "Pairs that were done are kept; the next click goes on from there.",
    "remedy": "Use fewer processes; the next click goes on from there.",
}


@dataclass(frozen=True, eq=False)
class Batch:
    """What is registered and where to.

    Args:
        output: folder for the results.
        source: folder of images, or table file of pairs; "" where the scene has them.
        table: node with the columns of a table of pairs; cells name volumes of the scene, or files.
        item: of the subject hierarchy whose volumes are registered; 0 for none.
        template: volume that all others are registered to; None registers each to every other one.
        options: how to register.
        model: id or weights file.
        workers: number of processes.
        allow_fallback: where the memory does not suffice, try again with less.
    """

    output: str
    source: str = ""
    table: slicer.vtkMRMLTableNode | None = None
    item: int = 0
    template: slicer.vtkMRMLScalarVolumeNode | None = None
    options: RegistrationOptions = field(default_factory=RegistrationOptions)
    model: str = ""
    workers: int = 1
    allow_fallback: bool = False


def batch_steps(
    batch: Batch,
    results: slicer.vtkMRMLTableNode | None = None,
    progress: Progress = silent,
    command: Sequence[str] | None = None,
) -> Steps:
    """Register all pairs; the table receives what became of them, also when it is cancelled.

    Args:
        batch: what and where to.
        results: table node; None makes one.
        progress: called with a fraction and a text.
        command: to start instead of the batch command.

    Returns:
        The table node and the last line that the command printed.

    Raises:
        OutputError: nothing to register, or no folder for the results.
        ImageError: a volume of the scene cannot be written to a file.
        Cancelled: it was stopped; pairs that were done are kept, and skipped the next time.
        VoxelMorphError: what the command says.
    """
    check_table(results)
    if not batch.output:
        raise OutputError("Choose an output folder.")
    arguments = [*(yield from _inputs(batch)), f"--outputDir={batch.output}", f"--workers={batch.workers}"]
    arguments += [f"--{option.name}={text}" for option, text in changed_options(batch.options)]
    arguments += [f"--model={batch.model}"] * bool(batch.model) + ["--allowFallback"] * batch.allow_fallback
    child = [*(command or [*python_command(), "-m", "VoxelMorphLib.cli.batch"]), *arguments]
    try:
        lines = yield ChildProcess(child, progress, stopping_s=STOPPING_S, **_WORDS)
    finally:
        table = _filled(results, Path(batch.output))
    return table, next((line for line in lines if "pairs registered" in line), "")


def _inputs(batch: Batch) -> Steps:
    """The arguments of the command that name the pairs; volumes of the scene are written to files where they must."""
    files = _SceneFiles(Path(batch.output).absolute() / INPUTS)
    if batch.table is not None:
        return [f"--pairs={(yield from _table_file(batch.table, files))}"]
    source = batch.source
    if batch.item:
        source = yield from _list_of_folder(batch.item, files)
    elif not source:
        raise OutputError("Choose a folder or a table of pairs.")
    if extension(source) in TABLES and not batch.item:
        return [f"--pairs={source}"]
    if batch.template is None:
        return [f"--all={source}"]
    template = yield from files.file_of(batch.template)
    return [f"--to={template}", f"--folder={source}"]


def _list_of_folder(item: int, files: _SceneFiles) -> Steps:
    """A list of the files of the volumes in a folder of the data tree."""
    hierarchy = hierarchy_of(slicer.mrmlScene)
    items = [item, *children(hierarchy, item, recursive=True)]
    nodes = [hierarchy.GetItemDataNode(each) for each in items]
    volumes = [node for node in nodes if _is_volume(node)]
    if not volumes:
        raise OutputError(
            f"{hierarchy.GetItemName(item)} holds no volumes. Choose a folder of the data tree with some."
        )
    paths = []
    for node in volumes:
        paths.append(str((yield from files.file_of(node))))
    return str(files.write("images.txt", "\n".join(paths) + "\n"))


def _table_file(table: slicer.vtkMRMLTableNode, files: _SceneFiles) -> Steps:
    """A table of pairs on the disk, with the files of the volumes that its cells name."""
    content = table.GetTable()
    names = [content.GetColumnName(column) for column in range(content.GetNumberOfColumns())]
    rows = [
        [content.GetValue(row, at).ToString() for at in range(len(names))] for row in range(content.GetNumberOfRows())
    ]
    for row in rows:
        for at, name in enumerate(names):
            node = _node_named(row[at]) if name in FILES and row[at] else None
            if node is not None:
                row[at] = str((yield from files.file_of(node, name.endswith(("Labels", "Mask")))))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return files.write("pairs.csv", text.getvalue())


class _SceneFiles:
    """Files of the volumes of a scene: those that they were read from, else ones that are written.

    A file that would stay the same is not written again, so that nothing that depends on it is done again.

    Args:
        folder: for what is written.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._files: dict[str, Path] = {}

    def file_of(self, node: slicer.vtkMRMLScalarVolumeNode, as_labels: bool = False) -> Steps:
        """Path of a file with the volume."""
        if not has_voxels(node):
            raise ImageError(f"{node.GetName()} has no voxels. Choose another volume.")
        if node.GetID() not in self._files:
            known = _stored_file(node)
            if known is None:
                image = label_map_from_node(node) if as_labels else image_from_node(node)
                known = self._free_name(node.GetName())
                yield lambda: self._write_image(image, known)
            self._files[node.GetID()] = known
        return self._files[node.GetID()]

    def write(self, name: str, text: str) -> Path:
        """A text file."""
        return self._put(self._folder / name, lambda path: path.write_text(text, encoding="utf-8"))

    def _write_image(self, image: Image, path: Path) -> None:
        from ...core.io.images import write_image

        self._put(path, lambda scratch: write_image(image, scratch))

    def _put(self, path: Path, write: Callable[[Path], Any]) -> Path:
        make_folder(self._folder, "Choose another one.", "The folder")
        fresh = path.with_name(f"new-{path.name}")
        try:
            with replacing(fresh) as scratch:
                write(scratch)
            if not (exists(path) and filecmp.cmp(fresh, path, shallow=False)):
                fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        return path

    def _free_name(self, name: str) -> Path:
        taken, stem_ = set(self._files.values()), safe_name(name)
        number = 1
        while (path := self._folder / f"{stem_}{f'-{number}' * (number > 1)}.nrrd") in taken:
            number += 1
        return path


def _stored_file(node: slicer.vtkMRMLScalarVolumeNode) -> Path | None:
    """The file that a volume was read from, where the volume is still the same and lies where the file says."""
    storage = node.GetStorageNode()
    if storage is None or not storage.GetFileName() or node.GetParentTransformNode() is not None:
        return None
    path = Path(storage.GetFileName())
    return path if is_file(path) and not node.GetModifiedSinceRead() else None


def _node_named(text: str) -> slicer.vtkMRMLScalarVolumeNode | None:
    scene = slicer.mrmlScene
    node = scene.GetNodeByID(text) or scene.GetFirstNodeByName(text)
    return node if _is_volume(node) else None


def _is_volume(node: slicer.vtkMRMLNode | None) -> bool:
    return node is not None and node.IsA("vtkMRMLScalarVolumeNode")


def _filled(table: slicer.vtkMRMLTableNode | None, folder: Path) -> slicer.vtkMRMLTableNode | None:
    """The table node with what became of the pairs so far; None where nothing was done."""
    written = [folder / name for name in (RESULTS, JOURNAL) if is_file(folder / name)]
    path = max(written, key=lambda file: file.stat().st_mtime_ns, default=None)
    if path is None or (table is not None and table.GetScene() is None):
        return table
    try:
        rows = list(read_results(path))
    except (OSError, csv.Error, UnicodeDecodeError):  # the command says what is wrong
        return table
    table = table or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", f"{stem(folder)} results")
    fill_columns(table, SHOWN, [[row.get(name) or "" for name in SHOWN] for row in rows])
    return table
