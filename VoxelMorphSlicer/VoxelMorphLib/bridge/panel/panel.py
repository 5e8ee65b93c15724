"""The panel as a whole: the sections, what follows from the parameter node, and the clicks of Register and Cancel."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from ...core.errors import Cancelled, DeviceError, VoxelMorphError
from ...registration.presets import Preset
from ...weights.architectures import LINEAR, OPTIMISE
from ...weights.entry import tasks_of
from ..background.runner import Runner
from ..background.steps import Steps, Task
from ..scene.result_nodes import worse_of
from .apply_section import ApplySection
from .batch_section import BatchSection
from .choices import ChoiceBox
from .device_section import AUTOMATIC, DeviceSection
from .follow_up import jacobian_map, measured_again
from .landmark_errors import LandmarkErrors
from .model_section import ModelSection
from .parameters_check import missing_for_measure, missing_for_register, missing_while, offer
from .preparation import Preparation
from .preset_section import PresetSection, take_preset
from .progress_section import ProgressSection, sentence_of
from .registering import pair_steps, sequence_steps, template_label_steps, template_steps
from .report_pages import reporting
from .result_section import ResultSection
from .sequence_section import SequenceSection
from .settings_form import SettingsForm
from .start_offer import offer_start
from .template_section import TemplateSection
from .training_section import TrainingSection


class Panel:
    """What the widgets do.

    Args:
        ui: the widgets by name.
        logic: of the module.
        makeWorker: gives the process that computes; called for the first registration.
    """

    def __init__(self, ui, logic, makeWorker: Callable):
        self.ui, self.logic = ui, logic
        self.parameters = None
        self._updating = self._showsTable = False
        self._task: Task | None = None
        self._owner = None
        self.progress = ProgressSection(ui)
        self.preparation = Preparation(self.update, self._complain)
        self.runner = Runner(makeWorker)
        self.models = ModelSection(ui, self._chooseModel, self.progress, self._work)
        self.task = ChoiceBox(ui.taskComboBox, _tasks(), self._chooseTask)
        self.devices = DeviceSection(
            ui,
            self.runner,
            lambda device: self._store("device", device),
            self._onDevicesFound,
            self.progress.say,
        )
        self.results = ResultSection(ui, self.onReport)
        self.landmarks = LandmarkErrors(ui.landmarkStatusLabel)
        self.apply = ApplySection(ui, logic, self.onApply, self.onSaveTransform, self._store)
        self.sequence = SequenceSection(
            ui, self.onRegisterSequence, self.onCancel, lambda value: self._store("sequenceReference", value)
        )
        self.templates = TemplateSection(
            ui, logic, self.runner, self.models.approve, _askToInstall, self._store, self.update
        )
        self.training = TrainingSection(ui, logic, self.runner, _askToInstall, self._onModelAdded, self.update)
        self.batch = BatchSection(ui, logic, self.runner, self.models.approve, _askToInstall, self.update)
        self.presets = PresetSection(ui, self._takePreset, self.progress)
        self.settings = SettingsForm(ui, self._store)
        self._boxes = self._makeBoxes()
        ui.registerButton.connect("clicked(bool)", self.onRegister)
        ui.measureButton.connect("clicked(bool)", self.onMeasure)
        ui.registerTemplateButton.connect("clicked(bool)", lambda _checked: self._start(template_steps))
        ui.segmentTemplateButton.connect("clicked(bool)", lambda _checked: self._start(template_label_steps))
        for button in (ui.cancelButton, ui.cancelApplyButton):
            button.connect("clicked(bool)", self.onCancel)
        self.update()

    def connect(self, parameters) -> None:
        """Show another configuration, or none; a run whose configuration was removed ends."""
        if self.working and self._owner.parameterNode.GetScene() is None:
            self._task.cancel()  # nobody would know what the result is for
        self.parameters = parameters
        if parameters is not None:
            self.results.connect(parameters)
            self.sequence.connect(parameters)
            self.templates.connect(parameters)
        self.training.connect(parameters)
        self.update()

    def close(self) -> None:
        """End everything that runs."""
        self.onCancel()
        self.results.close()
        self.landmarks.close()
        self.templates.close()
        self.runner.close()

    def update(self, *_event) -> None:
        """Show what the parameter node says; values that this machine does not have fall back, with a sentence."""
        if self._updating:
            return
        self._updating = True
        try:
            self.landmarks.follow(self.parameters)
            if self.parameters is not None:
                self._showChoices()
                self.results.update(self.parameters)
            self.presets.update(self.parameters)
            self._showButtons()
            self.training.blocked = self.preparation.busy or self.batch.preparation.busy
            self.training.update()
        finally:
            self._updating = False

    def onRegister(self) -> None:
        """Start, after the questions about the start, licence and packages."""
        offer_start(self.parameters)
        self._start(pair_steps)
        self._showsTable = self.working

    def onRegisterSequence(self) -> None:
        """Start with every frame of the sequence, after the same questions."""
        self._start(sequence_steps)

    def onApply(self) -> None:
        """Carry the chosen node or folder along."""
        self._work(_("Applying the transform"), self.apply.steps(self.parameters, self.progress.progress))

    def onSaveTransform(self, path: str) -> None:
        """Write the chosen transform into a file."""
        self._work(_("Saving the transform"), self.apply.saving(self.parameters, path))

    def onMeasure(self) -> None:
        """Measure the result with what was drawn or chosen after it."""
        try:
            steps = measured_again(self.parameters, self.logic)
        except VoxelMorphError as error:
            self.progress.say(sentence_of(error), error=True)
            return
        self._work(_("Measuring"), steps)

    def onReport(self, path: str) -> None:
        """Write the page of the result and show it."""
        self._prepare(
            lambda: self.logic.ensureReportPackages(_askToInstall),
            lambda chosen: reporting(chosen, self.logic, path),
        )

    def onCancel(self) -> None:
        """Stop what runs; the scene stays as it is, or as a finished registration left it."""
        if self._task is not None:
            self._task.cancel()

    def _start(self, make_steps: Callable[..., Steps]) -> None:
        model = self.parameters.model
        if not self.models.approve(model):
            self.progress.say(_("The licence of the model was not agreed to; nothing was done"))
            return
        self._prepare(
            lambda: self.logic.ensurePackages(model, _askToInstall),
            lambda chosen: make_steps(chosen, self.logic, self.progress.progress),
        )

    def _prepare(self, install: Callable[[], None], make_steps: Callable[..., Steps]) -> None:
        """Begin with the configuration of the click, after what it lacks was installed."""
        chosen = self.parameters
        self.progress.start(_("Preparing"))
        self.preparation.run(
            install,
            lambda: self.parameters is chosen,  # a closed scene leaves none, or an empty one
            lambda: self._begin(make_steps(chosen)),
        )

    def _complain(self, error: Exception) -> None:
        self.progress.finish(sentence_of(error), error=True)

    def _work(self, text: str, steps: Steps) -> None:
        self.progress.start(text)
        self._begin(steps)
        self.update()

    def _begin(self, steps: Steps) -> None:
        """Do work on the scene that gives the sentence that remains of it."""
        self._owner = self.parameters
        self._task = self.runner.task(
            steps,
            on_done=self._onDone,
            on_failed=self._onFailed,
            on_text=lambda text: self.progress.progress(1.0, text),
            on_poll=self.progress.tick,
        )
        self.runner.start(self._task)

    def _onDone(self, text: str) -> None:
        self._onEnd(" ".join([text, *self._task.warnings]), None)

    def _onFailed(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self._onEnd(_("Cancelled; the scene is as before"), None)
        else:
            self._onEnd(sentence_of(error), error)

    def _onEnd(self, text: str, error: Exception | None) -> None:
        registered = self._showsTable and error is None and self.parameters is not None
        forward = self.parameters.forwardTransform if registered else None
        self.progress.finish(text, error=error is not None, doubtful=forward is not None and bool(worse_of(forward)))
        self.models.refresh()
        if registered and self.parameters.resultsTable:
            self.results.open()
        self._showsTable = False
        self.update()
        if isinstance(error, DeviceError):  # gone, or full: the list tells, and a device that is gone falls back
            self.devices.find()

    def _onModelAdded(self, model: str) -> None:
        self.models.refresh()
        self.templates.refresh()
        self._store("model", model)

    def _onDevicesFound(self) -> None:
        self.training.setDevices(self.devices.choices)
        self.update()

    def _makeBoxes(self) -> dict[str, ChoiceBox]:
        overlay = ChoiceBox(
            self.ui.overlayComboBox, self.results.overlays(), lambda value: self._choose("overlay", value)
        )
        return {**self.settings.boxes, **self.apply.boxes, "overlay": overlay, "sequenceReference": self.sequence.box}

    def _store(self, name: str, value: str) -> None:
        if self.parameters is not None:
            setattr(self.parameters, name, value)

    def _choose(self, name: str, value: str) -> None:
        self._store(name, value)
        chosen = self.parameters
        if (name, value) != ("overlay", "jacobian") or chosen is None or chosen.jacobianVolume or self.busy:
            return
        if chosen.forwardTransform is None or chosen.fixedVolume is None:
            self.progress.say(_("There is no result to draw a Jacobian map of. Register first."), error=True)
            return
        self._work(_("Jacobian map"), jacobian_map(chosen, self.logic))

    def _chooseModel(self, model: str) -> None:
        """Take a model, with the start by which it does what is wanted."""
        if self.parameters is None:
            return
        if LINEAR in (model, self.parameters.model):
            self._take(model, self.models.startFor(self.task.value, model))
        else:
            self.parameters.model = model

    def _chooseTask(self, task: str) -> None:
        """Take a model that does a task."""
        if self.parameters is not None:
            model = self.models.modelFor(task, self.parameters.model)
            self._take(model, self.models.startFor(task, model))

    def _takePreset(self, preset: Preset) -> None:
        if self.parameters is not None:
            take_preset(self.parameters, preset)

    def _take(self, model: str, start: str) -> None:
        with slicer.util.NodeModify(self.parameters.parameterNode):  # what is shown follows both at once
            self.parameters.model, self.parameters.affine = model, start

    def _showChoices(self) -> None:
        chosen = self.parameters
        for name, box in self._boxes.items():
            if not box.show(getattr(chosen, name)):
                self._fallBack(name, box.first)
        if not self.devices.show(chosen.device):
            self._fallBack("device", AUTOMATIC)
        masks = (chosen.fixedMask is not None, chosen.movingMask is not None)
        self.models.fit.look(chosen.fixedVolume, chosen.movingVolume, masks)
        if not self.models.show(chosen.model, chosen.affine):
            self._fallBack("model", OPTIMISE)
        self.task.show(self.models.task(chosen.model, chosen.affine))
        self.settings.offer("hyper", self.models.supportsHyper(chosen.model))
        self.settings.offer("extent", self.models.supportsExtent(chosen.model))
        for name in ("midSpace", "integrationSteps"):
            self.settings.offer(name, self.models.isNetwork(chosen.model))
        optimises = self.models.supportsSmoothness(chosen.model, chosen.refine)
        self.settings.offer("smoothness", optimises)
        self.settings.enable("budget", optimises)
        self.settings.enable("landmarkWeight", optimises and chosen.landmarksGuide)
        self.settings.enable("labelWeight", optimises and chosen.segmentationsGuide)
        self.settings.enable("refine", "deformable" in tasks_of(self.models.entries.get(chosen.model)))

    def _fallBack(self, name: str, value: str) -> None:
        text = _("{missing}, chosen in this scene, does not exist here; {value} is used instead")
        self.progress.say(text.format(missing=getattr(self.parameters, name) or name, value=value), error=True)
        setattr(self.parameters, name, value)
        if name == "model":
            self.models.show(value, self.parameters.affine)
        else:
            {**self._boxes, "device": self.devices}[name].show(value)

    @property
    def busy(self) -> bool:
        """Whether something runs or is prepared that only one can do at a time."""
        return self.working or self.preparation.busy or self.training.preparation.busy or self.batch.preparation.busy

    @property
    def working(self) -> bool:
        """Whether a registration, what follows one, or other work on the scene goes on."""
        return self._task is not None and self._task.busy

    def _showButtons(self) -> None:
        busy = self.busy
        missing = missing_while(busy) or missing_for_register(self.parameters)
        offer(self.ui.registerButton, missing, _("Align the moving volume with the fixed one"))
        self.models.actions["importModelAction"].enabled = self.parameters is not None
        self.ui.cancelButton.enabled = self.working
        for name in ("inputsSection", "advancedSection"):
            getattr(self.ui, name).enabled = not busy
        missing = missing_while(busy) or missing_for_measure(self.parameters)
        offer(self.ui.measureButton, missing, _("Fill the table anew, with what was drawn or chosen since"))
        offer(self.ui.reportButton, missing, _("Write a page with pictures and measures, and show it in the browser"))
        self.sequence.update(self.parameters, busy)
        self.apply.update(self.parameters, busy)
        self.templates.update(self.parameters, busy)
        self.batch.update(self.parameters, self.preparation.busy or self.training.preparation.busy)


def _tasks() -> dict[str, str]:
    return {
        "deformable": _("Deformable: bend it where it differs"),
        "affine": _("Affine: shift, turn, scale and shear"),
        "rigid": _("Rigid: shift and turn"),
        "shift": _("Shift: middle onto middle"),
    }


def _askToInstall(question: str) -> bool:
    return slicer.util.confirmOkCancelDisplay(question, _("Install Python packages"))
