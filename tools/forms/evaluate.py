"""The form of the evaluate command."""

from __future__ import annotations

from VoxelMorphLib.cli.evaluate import OPTIONS as EVALUATE_OPTIONS

from .parts import Group, form, option_parameter, parameter

_EVALUATE = (
    "Measures how good registrations are: overlap and distances of structures, landmark errors, similarity, folds of "
    "the transform and its round trip; of one pair, of a table of pairs, or of what a model makes of a folder of "
    "volumes. Transforms that nodes are placed under are ignored: harden them first."
)


def _input(name: str, label: str, description: str, tag: str = "image", kind: str = ' type="scalar"') -> str:
    return parameter(tag, name, label, description, channel="input", attributes=kind)


_LABEL_TYPE, _H5, _POINTS = ' type="label"', ' fileExtensions=".h5"', ' fileExtensions=".fcsv" multiple="false"'

_EVALUATE_GROUPS = (
    Group(
        "Volumes",
        "What is known of one pair; what is left out is not measured.",
        before=[
            _input("fixed", "Fixed volume", "Volume that the moving one was registered to."),
            _input("moving", "Moving volume", "The moving volume as it was, to measure from where it came."),
            _input("moved", "Moved volume", "The moving volume after the registration, in the space of the fixed one."),
        ],
    ),
    Group(
        "Structures",
        "Label maps of the same structures.",
        before=[
            _input("fixedLabels", "Fixed label map", "Label map of the fixed volume.", kind=_LABEL_TYPE),
            _input("movingLabels", "Moving label map", "Label map of the moving volume as it was.", kind=_LABEL_TYPE),
            _input("movedLabels", "Moved label map", "Label map after the registration.", kind=_LABEL_TYPE),
            parameter(
                "string",
                "labels",
                "Labels that count",
                "Numbers with commas between them, or the path of a file of them: .npz, .csv with names, or a colour "
                "table. Empty takes all.",
            ),
        ],
    ),
    Group(
        "Transforms and landmarks",
        "Their folds and round trip, and the distance of landmarks.",
        before=[
            _input(
                "transform",
                "Transform, moving to fixed",
                "Transform that places the moving volume onto the fixed one when applied in Slicer.",
                "transform",
                _H5,
            ),
            _input("inverse", "Transform, fixed to moving", "The opposite direction.", "transform", _H5),
            _input("fixedPoints", "Fixed landmarks", "Points of the fixed volume.", "pointfile", _POINTS),
            _input("movingPoints", "Moving landmarks", "The same points of the moving one.", "pointfile", _POINTS),
        ],
    ),
    Group(
        "Many pairs, and models",
        "Instead of one pair. What is chosen above counts for all pairs whose row does not say another.",
        before=[
            _input(
                "pairs",
                "Table of pairs",
                "CSV file with one pair a row: a column id, and columns of files with the names of the options, such "
                "as fixed, moving, fixedLabels, movingLabels, transform.",
                "file",
                ' fileExtensions=".csv"',
            ),
            parameter(
                "string",
                "model",
                "Model to measure",
                "Id of the model list or path of a weights file. It registers the fixed and moving volumes, and the "
                "result is measured. Empty measures what is given.",
            ),
            parameter(
                "string",
                "scans",
                "Scans",
                "Moving volumes that the model registers to the fixed one: a folder, a list or a pattern such as "
                "scans/*.npz.",
            ),
            parameter(
                "directory",
                "weightsDir",
                "Weights folder",
                "Folder with weights files that you already have, recognised by their content.",
                channel="input",
            ),
        ],
        takes_the_rest=True,
    ),
    Group(
        "Outputs",
        "The log has the measures as well.",
        before=[
            parameter(
                "file",
                "csv",
                "Table",
                "CSV file with one row a measure.",
                channel="output",
                attributes=' fileExtensions=".csv"',
            ),
            parameter(
                "file",
                "json",
                "JSON file",
                "The same for programs.",
                channel="output",
                attributes=' fileExtensions=".json"',
            ),
            parameter(
                "file",
                "report",
                "Report",
                "Web page with pictures and measures; of many pairs an overview, the worst first.",
                channel="output",
                attributes=' fileExtensions=".html"',
            ),
        ],
    ),
)


def evaluate_form() -> str:
    """The description of the evaluate command."""
    parameters = {
        name: option_parameter(option, EVALUATE_OPTIONS, option.default) for name, option in EVALUATE_OPTIONS.items()
    }
    title = "VoxelMorph: measure registrations"
    return form(title, _EVALUATE, _EVALUATE_GROUPS, EVALUATE_OPTIONS, parameters)
