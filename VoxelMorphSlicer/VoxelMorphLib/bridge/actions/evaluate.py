"""A registration measured before and after: intensities, structures, landmarks and folds, as rows of a table node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

import slicer

from ...core.errors import OutputError
from ...core.geometry import Geometry
from ...core.image import Image
from ...core.transform import IDENTITY, Transform
from ...evaluation.measures import (
    Compared,
    VolumeChange,
    alone_rows,
    back_rows,
    consistency_figures,
    consistency_rows,
    landmark_rows,
    overlap_rows,
    similarity_rows,
    volume_change,
    volume_change_rows,
)
from ...evaluation.rows import CORRELATION, DISPLACEMENT, INFORMATION, MEAN, TIME, WARNING, Row, important_first
from ...evaluation.structures import Structure, matched
from ..background.steps import Steps
from ..scene.landmarks import landmark_pairs
from ..scene.result_nodes import ATTRIBUTE_PREFIX, warnings_of
from ..scene.rollback import place_beside, unchanged_on_failure
from ..scene.scene_path import ScenePath
from ..scene.volume_nodes import image_from_node, volume_geometry
from .results_table import check_table, fill_table
from .structures import structures_from_node

#: Attributes of a forward transform that hold what the registration measured.
FOLDING_FIGURES = ("FoldedVoxels", "FoldedPercent", "JacobianMin", "JacobianMax")
INTENSITY_FIGURES = ("SimilarityBefore", "SimilarityAfter", "MutualInformationBefore", "MutualInformationAfter")
FIGURES = (*INTENSITY_FIGURES, *FOLDING_FIGURES)
#: The same, which scenes of earlier versions lack.
SPREAD_FIGURE = "LogJacobianStd"
CONSISTENCY_FIGURES = ("InverseResidualMm", "InverseResidualP99Mm")
LATER_FIGURES = (SPREAD_FIGURE, *CONSISTENCY_FIGURES)
#: Of the deformable part, mm.
DISPLACEMENT_FIGURES = ("DisplacementMeanMm", "DisplacementMaxMm")


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The nodes of one finished registration.

    Args:
        fixed, moving: the volumes.
        moved: the moving volume on the fixed grid; None resamples it through `forward`.
        forward: transform node that moves `moving` onto `fixed`.
        fixed_segmentation, moving_segmentation: segmentations or label maps of the same structures; both or none.
        fixed_landmarks, moving_landmarks: markups of the same points; both or none.
        is_fresh: nothing changed since the registration, so that the figures it wrote onto `forward` still hold.
    """

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    moved: Optional[slicer.vtkMRMLScalarVolumeNode]
    forward: slicer.vtkMRMLTransformNode
    fixed_segmentation: Optional[slicer.vtkMRMLNode] = None
    moving_segmentation: Optional[slicer.vtkMRMLNode] = None
    fixed_landmarks: Optional[slicer.vtkMRMLMarkupsNode] = None
    moving_landmarks: Optional[slicer.vtkMRMLMarkupsNode] = None
    is_fresh: bool = False


def evaluation_steps(nodes: Evaluated, table: slicer.vtkMRMLTableNode | None = None) -> Steps:
    """Measure a registration and write a table; when anything fails the scene is unchanged.

    Args:
        nodes: what was registered, and what is known about it.
        table: receives the rows; None creates one beside the fixed volume.

    Raises:
        ImageError: a volume, segmentation or list of landmarks without content, or landmarks that cannot be paired.
        GeometryError: a volume or segmentation under a non-linear parent.
        OutputError: a node is missing or left the scene, or `table` is no table.
    """
    check_table(table)
    _seen, rows = yield from measuring(nodes)
    check_table(table)  # time has passed
    scene = nodes.fixed.GetScene()
    with unchanged_on_failure(scene, [] if table is None else [table]):
        if table is None:
            name = f"{nodes.moving.GetName()} to {nodes.fixed.GetName()} results"
            table = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
            place_beside(table, nodes.fixed)
        fill_table(rows, table)
    return table


def measuring(nodes: Evaluated) -> Steps:
    """Measure a registration; gives what was compared, and the rows, the most important first.

    Args:
        nodes: what was registered, and what is known about it.

    Raises:
        ImageError, GeometryError, OutputError: as `evaluation_steps`.
    """
    _check(nodes)
    seen = yield from _read(nodes)
    landmarks = list(_landmarks(nodes))
    provenance = list(_provenance(nodes.forward))
    measured = yield lambda: (list(_similarity_rows(seen)), list(_folding_rows(seen)))
    rows = important_first([*(yield lambda: list(_overlap(seen))), *landmarks, *measured[1], *measured[0], *provenance])
    _check(nodes)  # time has passed
    return seen, rows


def _check(nodes: Evaluated) -> None:
    if nodes.forward is None:
        raise OutputError("There is no forward transform to evaluate. Register the volumes first.")
    for node in vars(nodes).values():
        if isinstance(node, slicer.vtkMRMLNode) and node.GetScene() is None:
            raise OutputError(f"{node.GetName()} is no longer in the scene. Load it again and repeat.")


@dataclass(frozen=True, eq=False)
class Back:
    """What brings the fixed structures to the moving ones.

    Args:
        grid: of the moving image.
        initial, inverse: moving -> fixed, before and after the registration, on `grid` and without VTK.
    """

    grid: Geometry
    initial: Transform
    inverse: Transform


@dataclass(frozen=True, eq=False)
class Seen:
    """What is measured, once it has been read from the nodes.

    Args:
        fixed, before, after: the fixed image, the moving one, and what is compared after the registration.
        initial: where the moving image was before, fixed -> moving, on the grid of `fixed`.
        is_moved: whether `after` lies on the fixed grid already.
        forward: on the grid of `fixed`, without VTK; None where nothing needs it.
        back: the way from the moving image to the fixed one; None where no structures are compared.
        known: figures that the registration measured itself.
        pairs: the same structure in the fixed and the moving image.
        alone: rows of the structures that exist on one side only.
    """

    fixed: Image
    before: Optional[Image]
    after: Optional[Image]
    initial: Transform
    is_moved: bool
    forward: Optional[Transform]
    back: Optional[Back]
    known: Optional[dict[str, float]]
    pairs: tuple[tuple[Structure, Structure], ...]
    alone: tuple[Row, ...]


def _read(nodes: Evaluated) -> Steps:
    """Read all nodes, one at a time."""
    path = ScenePath(nodes.forward)
    known = _known_figures(nodes.forward) if nodes.is_fresh else None
    fixed = image_from_node(nodes.fixed)
    yield None
    compares = nodes.fixed_segmentation is not None and nodes.moving_segmentation is not None
    forward = before = after = None
    initial = IDENTITY
    if known is None or compares:
        before_path = path.initial()
        if before_path is not None:
            initial = yield from before_path.sampled(fixed.geometry)
        forward = yield from path.sampled(fixed.geometry)
        yield None
    if known is None:
        before = image_from_node(nodes.moving, to_world=path.matrix_to_world(nodes.moving))
        yield None
        after = before if nodes.moved is None else image_from_node(nodes.moved)
        yield None
    back = (yield from _read_back(nodes)) if compares else None
    pairs, alone = (yield from _read_structures(nodes)) if compares else ((), ())
    is_moved = nodes.moved is not None
    return Seen(fixed, before, after, initial, is_moved, forward, back, known, tuple(pairs), tuple(alone))


def _read_back(nodes: Evaluated) -> Steps:
    path = ScenePath(nodes.forward)
    grid = volume_geometry(nodes.moving, path.matrix_to_world(nodes.moving))
    before = path.initial()
    initial = IDENTITY if before is None else (yield from before.reversed().sampled(grid))
    return Back(grid, initial, (yield from path.reversed().sampled(grid)))


def _read_structures(nodes: Evaluated) -> Steps:
    fixed = structures_from_node(nodes.fixed_segmentation)
    yield None
    moving = structures_from_node(nodes.moving_segmentation, *ScenePath(nodes.forward).own_nodes())
    yield None
    pairs, only_fixed, only_moving = matched(fixed, moving)
    alone = alone_rows(only_fixed, nodes.moving_segmentation.GetName())
    return pairs, [*alone, *alone_rows(only_moving, nodes.fixed_segmentation.GetName())]


def _known_figures(forward: slicer.vtkMRMLTransformNode) -> dict[str, float] | None:
    """What the registration measured itself, by attribute; None where a figure is missing."""
    texts = {name: forward.GetAttribute(f"{ATTRIBUTE_PREFIX}{name}") for name in (*FIGURES, *LATER_FIGURES)}
    known = {name: json.loads(text) for name, text in texts.items() if text is not None}
    return known if set(FIGURES) <= set(known) else None


def _similarity_rows(seen: Seen) -> Iterator[Row]:
    """On a subset of the fixed voxels, as the registration reports it."""
    if seen.known is None:
        moved = seen.after if seen.is_moved else None
        yield from similarity_rows(seen.fixed, seen.before, moved, seen.initial, seen.forward)
        return
    known = seen.known
    yield Row(CORRELATION, "", known["SimilarityBefore"], known["SimilarityAfter"])
    yield Row(INFORMATION, "", known["MutualInformationBefore"], known["MutualInformationAfter"], "nat")


def _overlap(seen: Seen) -> Iterator[Row]:
    if seen.pairs and seen.back is not None:
        compared = [Compared(fixed, moving, moving) for fixed, moving in seen.pairs]
        there = overlap_rows(compared, seen.fixed.geometry, seen.initial, seen.forward)
        back = back_rows(seen.pairs, seen.back.grid, seen.back.initial, seen.back.inverse)
        each = len(seen.pairs)
        rows = list(there)
        per_structure = len(rows) // each
        for index, row in enumerate(back):
            yield from (*rows[index * per_structure : (index + 1) * per_structure], row)
    yield from seen.alone


def _landmarks(nodes: Evaluated) -> Iterator[Row]:
    """Landmarks are few, so they take the scene's own transform."""
    if nodes.fixed_landmarks is None or nodes.moving_landmarks is None:
        return
    path = ScenePath(nodes.forward)
    pairs = landmark_pairs(nodes.fixed_landmarks, nodes.moving_landmarks, path.own_nodes())
    initial = path.initial()
    transforms = (IDENTITY if initial is None else initial.through_vtk(), path.through_vtk())
    yield from landmark_rows(pairs, *transforms)


def _folding_rows(seen: Seen) -> Iterator[Row]:
    """Of the transform as the registration measured it, or of its samples on the fixed grid."""
    known = seen.known
    if known is None:
        yield from volume_change_rows(volume_change(seen.forward, seen.fixed.geometry, seen.fixed))
        if seen.back is not None:
            yield from consistency_rows(seen.forward, seen.back.inverse, seen.fixed.geometry)
        return
    count, percent, minimum, maximum = (known[name] for name in FOLDING_FIGURES)
    yield from volume_change_rows(VolumeChange(count, percent, minimum, maximum, known.get(SPREAD_FIGURE)))
    if set(CONSISTENCY_FIGURES) <= set(known):
        yield from consistency_figures(*(known[name] for name in CONSISTENCY_FIGURES))


def _provenance(forward: slicer.vtkMRMLTransformNode) -> Iterator[Row]:
    """What the registration wrote onto its transform; other transforms have no provenance."""
    displaced = [forward.GetAttribute(f"{ATTRIBUTE_PREFIX}{name}") for name in DISPLACEMENT_FIGURES]
    for part, text in zip((MEAN, "largest"), displaced):
        yield from (Row(DISPLACEMENT, part, None, float(value), "mm", 2) for value in [text] if value is not None)
    seconds = forward.GetAttribute(f"{ATTRIBUTE_PREFIX}Seconds")
    if seconds is not None:
        yield Row(TIME, "", None, float(json.loads(seconds).get("total", 0.0)), "s", 1)
    for measure, attributes in (("Device", ("Device",)), ("Model", ("ModelTitle", "Model"))):
        values = [forward.GetAttribute(f"{ATTRIBUTE_PREFIX}{attribute}") for attribute in attributes]
        yield from (Row(measure, after=value) for value in [v for v in values if v][:1])
    yield from (Row(WARNING, after=text) for text in warnings_of(forward))
