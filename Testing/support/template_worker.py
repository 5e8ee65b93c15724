"""What tests of the template explorer share: models in the list of models, and a worker that makes their templates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from VoxelMorphLib.bridge.background.worker import Job
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.registration.memo import NetworkCache
from VoxelMorphLib.registration.result import Registration
from VoxelMorphLib.registration.template import make_template
from VoxelMorphLib.registration.template_request import Request, TemplateRequest
from VoxelMorphLib.weights.own_models import add_to_catalogue
from VoxelMorphLib.weights.safetensors_file import read_model

from support.made_up_worker import known_result
from support.scripted_worker import ScriptedWorker


def list_model(path: Path, name: str, title: str = "") -> None:
    """Put the model of a file into the user's list of models."""
    entry = read_model(path)[1]
    add_to_catalogue(replace(entry, id=name, title=title or entry.title), path)


class TemplateWorker(ScriptedWorker):
    """Answers with the template that was asked for, or a known registration, at the next poll."""

    waits = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.networks = NetworkCache()

    def submit(self, job: Request, *arguments: Any) -> Job:
        submitted = super().submit(job, *arguments)
        if not self.waits:
            self.finish()
        return submitted

    def _registered(self, job: Request) -> Registration | Image:
        return make_template(job, networks=self.networks) if isinstance(job, TemplateRequest) else known_result(job)


def settle(panel: Any) -> None:
    """Wait until the template follows the sliders."""
    section = panel.widget.panel.templates
    panel.wait(lambda: not section.working and not section._pause.active and not section._isLate)


def choose_template_model(panel: Any, model: str) -> None:
    """Choose a model of the explorer as a person does."""
    box = panel.ui.templateModelComboBox
    box.setCurrentIndex(box.findData(model))
    box.activated.emit(box.currentIndex)
    settle(panel)
