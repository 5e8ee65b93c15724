"""The section "Template explorer": the template of a model in the slice views, while sliders choose whose it is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from ...core.attributes import Attribute
from ...core.errors import Cancelled
from ...weights.architectures import TEMPLATES, WITHOUT_BASE
from ...weights.catalogue import load_catalogue
from ...weights.entry import ModelEntry
from ..actions.template import kept_template
from ..background.runner import Runner
from ..background.steps import Task
from ..scene.patient_age import patient_age
from .choices import ChoiceBox
from .parameters_check import missing_for_template, missing_while, offer
from .preparation import Preparation
from .progress_section import sentence_of

#: Pause after a movement of a slider before the template is made; while one is made the latest position waits.
PAUSE_MS = 30
#: Playing goes through the range and back in so many steps each way, one every so often.
PLAY_STEPS, PLAY_MS = 20, 150
#: Name of the attribute that follows the patient.
AGE = "age"
#: Range of a slider whose trained range is not known.
UNKNOWN_RANGE = (0.0, 100.0)


class TemplateSection:
    """Makes templates with the worker, the latest one only, and leaves them in one volume of the scene.

    Args:
        ui: the widgets by name; it gets the sliders.
        logic: of the module.
        runner: does the work.
        approve: whether the licence of a model was agreed to.
        ask: shows a question about packages and tells whether the user agrees.
        store: takes the name of a parameter and its value.
        onPreparing: called when `preparation` begins or ends.
    """

    def __init__(
        self,
        ui,
        logic,
        runner: Runner,
        approve: Callable[[str], bool],
        ask: Callable[[str], bool],
        store: Callable,
        onPreparing: Callable[[], None],
    ):
        self.ui, self.logic, self._runner, self._approve, self._ask = ui, logic, runner, approve, ask
        self._store = store
        self.preparation = Preparation(onPreparing, self._complain)
        self.parameters = None
        self._task: Task | None = None
        self._isLate = self._showing = False
        self._direction = 1
        self._patient = None
        self._entries: dict[str, ModelEntry] = {}
        self.sliders = AttributeSliders(ui, self._onMoved)
        self._box = ChoiceBox(ui.templateModelComboBox, {}, self._choose)
        self._played = ChoiceBox(ui.templatePlayComboBox, {}, lambda _name: None)
        self._pause = _timer(PAUSE_MS, self._make, isSingle=True)
        self._player = _timer(PLAY_MS, self._playOn)
        ui.templatePlayButton.connect("toggled(bool)", self._onPlay)
        ui.templateKeepButton.connect("clicked(bool)", self.onKeep)
        self.refresh()

    @property
    def working(self) -> bool:
        """Whether a template is being made."""
        return self._task is not None and self._task.busy

    def refresh(self) -> None:
        """List the models anew."""
        found = load_catalogue().items()
        self._entries = {name: entry for name, entry in found if entry.architecture in TEMPLATES}
        self._box.setChoices({"": _("None"), **{name: entry.title for name, entry in self._entries.items()}})

    def connect(self, parameters) -> None:
        """Take a configuration as it is: the values of its sliders stay until another patient is chosen."""
        self._patient = parameters.templatePatient

    def close(self) -> None:
        """Let the sliders rest."""
        self._player.stop()
        self._pause.stop()

    def update(self, parameters, busy: bool) -> None:
        """Follow the configuration.

        Args:
            parameters: of the panel, None for none.
            busy: whether something runs or is prepared that only one can do at a time.
        """
        self.parameters = parameters
        model = "" if parameters is None else parameters.templateModel
        entry = self._entries.get(model)
        if not self._box.show(model):
            self._box.show("")
            self._say(_("{model}, chosen in this scene, does not exist here").format(model=model))
        self.sliders.show(() if entry is None else attributes_of(entry), self._values())
        if self._played.comboBox.count != len(self.sliders.names):
            self._played.setChoices({name: name for name in self.sliders.names})
        for name in ("templateBaseLabel", "templateBaseSelector"):
            getattr(self.ui, name).visible = entry is not None and entry.architecture in WITHOUT_BASE
        for name in ("templatePlayLabel", "templatePlayComboBox", "templatePlayButton", "templateAttributesBox"):
            getattr(self.ui, name).visible = bool(self.sliders.names)
        self._offer(busy or self.preparation.busy)
        if parameters is not None and parameters.templatePatient is not self._patient:
            self._patient = parameters.templatePatient
            self._followAge()

    def onKeep(self, _checked: bool = False) -> None:
        """Leave a copy of the template in the scene, which no slider changes."""
        self._say(_("{name} was kept").format(name=kept_template(self.parameters.templateVolume).GetName()))

    def onShow(self) -> None:
        """Make the template, after the questions about licence and packages."""
        chosen = self.parameters
        if not self._approve(chosen.templateModel):
            self._say(_("The licence of the model was not agreed to; nothing was done"))
            return
        self.preparation.run(
            lambda: self.logic.ensurePackages(chosen.templateModel, self._ask),
            lambda: self.parameters is chosen,
            self._make,
        )

    def _offer(self, busy: bool) -> None:
        waiting = missing_while(busy)
        missing = waiting or missing_for_template(self.parameters)
        offer(self.ui.templateKeepButton, missing, _("Leave a copy that no slider changes"))
        self.ui.templatePlayButton.enabled = self.sliders.enabled = not waiting
        missing = missing or missing_for_template(self.parameters, "templatePatient")
        offer(self.ui.registerTemplateButton, missing, _("Align the patient with a copy of this template"))
        missing = missing or missing_for_template(self.parameters, "templateLabels")
        offer(self.ui.segmentTemplateButton, missing, _("The same, and bring the template's labels to the patient"))

    def _followAge(self) -> None:
        """Show the template of the age of the patient that was chosen, where the data tree knows it."""
        age = None if self._patient is None else patient_age(self._patient)
        if age is not None and self.sliders.move(AGE, age):
            self._onMoved()

    def _choose(self, model: str) -> None:
        """Take another model, and show the template of its mean subject."""
        if self.parameters is None:
            return
        self.ui.templatePlayButton.checked = False
        with slicer.util.NodeModify(self.parameters.parameterNode):
            self._store("templateModel", model)
            self._store("templateValues", "")
        if model:
            self.onShow()

    def _values(self) -> dict[str, float]:
        """The chosen values by the attributes' names, as the scene keeps them."""
        text = "" if self.parameters is None else self.parameters.templateValues
        try:
            values = json.loads(text or "{}")
        except ValueError:  # a text that somebody else wrote
            return {}
        return {k: float(v) for k, v in values.items() if isinstance(v, (int, float)) and math.isfinite(v)}

    def _onMoved(self) -> None:
        """Somebody moves a slider, or playing does."""
        if self.parameters is not None:
            self._store("templateValues", json.dumps(self.sliders.values))
            self._pause.start()

    def _make(self) -> None:
        """Make the template of the sliders; later, if one is being made."""
        chosen = self.parameters
        if chosen is None or chosen.templateModel not in self._entries:
            return
        if self.working:
            self._isLate = True
            return
        steps = self.logic.template.steps(
            chosen.templateModel,
            self.sliders.values,
            chosen.templateVolume,
            chosen.templateBase,
            progress=lambda _fraction, text: self._say(text),
        )
        self._task = self._runner.task(steps, on_done=lambda node: self._onMade(chosen, node), on_failed=self._onFailed)
        self._runner.start(self._task)

    def _onMade(self, chosen, node) -> None:
        if chosen.parameterNode.GetScene() is not None:
            is_new = chosen.templateVolume is not node
            chosen.templateVolume = node
            slicer.util.setSliceViewerLayers(background=node, fit=is_new)
        self._say(". ".join([node.GetDescription(), *self._task.warnings]))
        self._goOn()

    def _onFailed(self, error: Exception) -> None:
        self.ui.templatePlayButton.checked = False
        if isinstance(error, Cancelled):
            self._say(str(error))
        else:
            self._complain(error)
        self._goOn()

    def _goOn(self) -> None:
        if self._isLate:
            self._isLate = False
            self._pause.start()
        self.update(self.parameters, False)

    def _onPlay(self, plays: bool) -> None:
        if plays:
            self._player.start()
        else:
            self._player.stop()

    def _playOn(self) -> None:
        """One step through the range of an attribute, once the last one is shown."""
        name = self._played.value
        if not self.working and not self._pause.active and name:
            self._direction = self.sliders.step(name, self._direction)

    def _complain(self, error: Exception) -> None:
        self._say(sentence_of(error))

    def _say(self, text: str) -> None:
        self.ui.templateStatusLabel.text = text


class AttributeSliders:
    """One slider for each attribute of a model, with its trained range and its unit.

    Args:
        ui: the widgets by name; it gets the sliders.
        onMoved: called when a person, or playing, moves one.
    """

    def __init__(self, ui, onMoved: Callable[[], None]):
        self.ui, self._onMoved = ui, onMoved
        self._attributes: tuple[Attribute, ...] = ()
        self._rows: list[tuple] = []
        self._showing = False

    @property
    def names(self) -> list[str]:
        """Of the attributes."""
        return [attribute.name for attribute in self._attributes]

    @property
    def values(self) -> dict[str, float]:
        """Where the sliders stand, by name."""
        return {a.name: slider.value for a, (_label, slider) in zip(self._attributes, self._rows)}

    @property
    def enabled(self) -> bool:
        """Whether a person can move them."""
        return bool(self.ui.templateAttributesBox.enabled)

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self.ui.templateAttributesBox.enabled = enabled

    def show(self, attributes: tuple[Attribute, ...], values: dict[str, float]) -> None:
        """Show attributes and their values, the middle of the training for those that are not given."""
        self._showing = True
        try:
            if attributes != self._attributes:
                self._attributes = attributes
                self._fit()
            for attribute, (_label, slider) in zip(attributes, self._rows):
                value = values.get(attribute.name, attribute.middle)
                if abs(slider.value - value) > slider.singleStep / 2:
                    slider.value = value
        finally:
            self._showing = False

    def move(self, name: str, value: float) -> bool:
        """Move a slider without calling back; False where there is none of this name, or the value is beyond it."""
        found = [row for attribute, row in zip(self._attributes, self._rows) if attribute.name.lower() == name]
        if not found or not found[0][1].minimum <= value <= found[0][1].maximum:
            return False
        self._showing, found[0][1].value = True, value
        self._showing = False
        return True

    def step(self, name: str, direction: int) -> int:
        """Move a slider a step up (1) or down (-1); gives the direction of the next step."""
        slider = self._rows[self.names.index(name)][1]
        value = slider.value + direction * (slider.maximum - slider.minimum) / PLAY_STEPS
        slider.value = min(max(value, slider.minimum), slider.maximum)
        return -direction if slider.value in (slider.minimum, slider.maximum) else direction

    def _fit(self) -> None:
        """One row for each attribute; rows that are not needed are hidden."""
        while len(self._rows) < len(self._attributes):
            self._rows.append(self._row(len(self._rows)))
        for place, (label, slider) in enumerate(self._rows):
            label.visible = slider.visible = place < len(self._attributes)
        for attribute, (label, slider) in zip(self._attributes, self._rows):
            label.text = _("{name}:").format(name=attribute.name)
            _give_range(slider, attribute)

    def _row(self, place: int) -> tuple:
        label, slider = qt.QLabel(), ctk.ctkSliderWidget()
        label.objectName, slider.objectName = f"templateAttribute{place}Label", f"templateAttribute{place}Slider"
        self.ui.templateAttributesBox.layout().addRow(label, slider)
        setattr(self.ui, slider.objectName, slider)
        slider.connect("valueChanged(double)", self._onValue)
        return label, slider

    def _onValue(self, _value: float) -> None:
        if not self._showing:
            self._onMoved()


def attributes_of(entry: ModelEntry) -> tuple[Attribute, ...]:
    """What the template of a model depends on; models of earlier versions do not name it."""
    if entry.attributes or "attributes" not in entry.arguments:
        return entry.attributes
    return tuple(Attribute(f"attribute{number + 1}") for number in range(entry.arguments["attributes"]))


def _give_range(slider, attribute: Attribute) -> None:
    low, high = attribute.limits or UNKNOWN_RANGE
    high = high if high > low else low + 1
    step = 10 ** math.floor(math.log10((high - low) / 50))
    slider.decimals = max(0, -math.floor(math.log10(step)))
    slider.minimum, slider.maximum = low, high
    slider.singleStep, slider.pageStep = step, 10 * step
    slider.suffix = f" {attribute.unit}" if attribute.unit else ""
    known = _("Trained with values from {range}").format(range=attribute.range)
    slider.toolTip = known if attribute.limits else _("The trained range is not known")


def _timer(interval: int, work: Callable[[], None], isSingle: bool = False):
    timer = qt.QTimer()
    timer.setInterval(interval)
    timer.setSingleShot(isSingle)
    timer.connect("timeout()", work)
    return timer
