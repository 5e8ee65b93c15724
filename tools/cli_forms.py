"""The .xml files of the commands, which Slicer makes forms of; run this file after an option has changed."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "VoxelMorphSlicer" / "CLI"
sys.path[:0] = [str(FOLDER.parent)]

from forms.apply import apply_form  # noqa: E402, needs the path
from forms.batch import batch_form  # noqa: E402
from forms.evaluate import evaluate_form  # noqa: E402
from forms.register import register_form  # noqa: E402
from forms.template import template_form  # noqa: E402
from forms.train import train_form  # noqa: E402


def written_forms() -> dict[Path, str]:
    """The text of every form by its file."""
    forms = {
        "Apply": apply_form(),
        "Batch": batch_form(),
        "Evaluate": evaluate_form(),
        "Register": register_form(),
        "Template": template_form(),
        "Train": train_form(),
    }
    return {FOLDER / f"VoxelMorph{name}.xml": text for name, text in forms.items()}


if __name__ == "__main__":
    for path, text in written_forms().items():
        path.write_text(text, encoding="utf-8")
