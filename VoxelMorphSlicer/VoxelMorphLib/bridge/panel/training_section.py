"""The section "Training": options, their check, the training itself, its curves, and the model that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer
from slicer.i18n import tr as _

from ...core.errors import Cancelled, ConfigError, VoxelMorphError
from ...training.options import TrainingConfig
from ...training.recipes import config_of_json
from ..actions import training_settings as settings
from ..background.runner import Runner
from ..background.steps import Task
from ..scene.curve_nodes import Curves, show_chart
from .choices import ChoiceBox
from .parameters_check import offer
from .preparation import Preparation
from .progress_section import ProgressSection, TrainingNews, sentence_of
from .training_form import TEXTS, TrainingForm

#: What a sentence calls the text of all options.
_MORE_OPTIONS = "under More options"


class TrainingSection:
    """Trains networks.

    Args:
        ui: the widgets by name.
        logic: of the module.
        runner: does what the buttons begin.
        ask: shows a question about packages and tells whether the user agrees.
        onAdded: called with the id of a model that was added to the list.
        onPreparing: called when `preparation` begins or ends.
        command: what to start instead of the train command.
    """

    def __init__(
        self,
        ui,
        logic,
        runner: Runner,
        ask: Callable[[str], bool],
        onAdded: Callable[[str], None],
        onPreparing: Callable[[], None],
        command=None,
    ):
        self.ui, self.logic, self._ask, self._onAdded, self.command = ui, logic, ask, onAdded, command
        self._runner, self.preparation = runner, Preparation(onPreparing, self._complain)
        self._task: Task | None = None
        self._news: TrainingNews | None = None
        self.blocked = False
        self.parameters, self.config = None, settings.first_config()
        self._stored: str | None = None
        self._problems: dict[str, str] = {}
        self._done: Callable[[tuple], str] = lambda _lines: ""
        self._recipes = {recipe.name: recipe for recipe in logic.recipes()}
        bar, icon, label = ui.trainingProgressBar, ui.trainingStatusIconLabel, ui.trainingStatusLabel
        self.progress = ProgressSection(SimpleNamespace(progressBar=bar, statusIconLabel=icon, statusLabel=label))
        titles = {name: recipe.title for name, recipe in self._recipes.items()}
        self.form = TrainingForm(ui, titles, self._onChanged, self._onText)
        self._kinds = ChoiceBox(ui.trainingCurvesComboBox, {"loss": _("Loss"), "dice": _("Dice")}, lambda _kind: None)
        ui.trainingPlanEdit.hide()
        for button, function in (
            ("checkTrainingButton", self.onCheck),
            ("trainButton", self.onTrain),
            ("resumeTrainingButton", self.onResume),
            ("cancelTrainingButton", self.onCancel),
            ("showCurvesButton", self.onShowCurves),
            ("addModelButton", self.onAddModel),
        ):
            getattr(ui, button).connect("clicked(bool)", function)

    def connect(self, parameters) -> None:
        """Show another configuration, or none; what runs goes on."""
        self.parameters, self._stored = parameters, None

    def setDevices(self, choices: dict[str, str]) -> None:
        """Offer these devices."""
        self.form.setDevices(choices)
        self.form.show(self.config, keepText=True)

    @property
    def working(self) -> bool:
        """Whether something runs."""
        return self._task is not None and self._task.busy

    def update(self) -> None:
        """Follow the parameter node."""
        if self.parameters is not None and self.parameters.training != self._stored:
            self._read()
        self._showButtons()

    def onCheck(self) -> None:
        """Read the data and time one step."""
        self.ui.trainingPlanEdit.hide()
        self._start(_("Starting"), self.logic.checkTraining, self._showPlan, config=self.config)

    def onTrain(self) -> None:
        """Begin the training."""
        self._train(resume=False)

    def onResume(self) -> None:
        """Go on with the training in the output folder."""
        self._train(resume=True)

    def onCancel(self) -> None:
        """Let the training save and end; the second time, end it at once."""
        if self.working:
            self._task.cancel()
        if self.working:
            self._news.again()

    def onShowCurves(self) -> None:
        """Show the chosen curves in a plot view."""
        curves = self.logic.curves(self.config.output_dir)
        curves.refresh(force=True)
        chart = curves.chart(self._kinds.value)
        if chart is None:
            self.progress.say(_("There are no such curves: nothing was validated with label maps."))
        else:
            show_chart(chart)

    def onAddModel(self) -> None:
        """Make a model of the best checkpoint and choose it."""
        name = self.ui.trainingModelNameEdit.text.strip() or Path(self.config.output_dir).name
        try:
            identifier = self.logic.modelId(name)
            replace = self._mayReplace(identifier)
        except VoxelMorphError as error:
            self._complain(error)
            return
        if replace is None:
            return
        checkpoint = settings.checkpoint_of(self.config)
        arguments = {"checkpoint": checkpoint, "name": name, "replace": replace}
        self._start(_("Adding the model"), self.logic.addTrainedModel, self._added(identifier), **arguments)

    def _mayReplace(self, identifier: str) -> bool | None:
        """Whether an own model of that id gives way; None where the user wants to keep it."""
        from ...weights.own_models import check_id

        try:
            check_id(identifier)
        except ConfigError:
            check_id(identifier, replace=True)
            question = _("You already have a model {name}. Replace it?").format(name=identifier)
            return True if slicer.util.confirmOkCancelDisplay(question, _("Add to models")) else None
        return False

    def _train(self, resume: bool) -> None:
        folder = self.config.output_dir
        curves = self.logic.curves(folder)

        def done(_lines) -> str:
            return _("Trained: {folder}").format(folder=folder)

        self._start(_("Starting"), self.logic.train, done, curves, config=self.config, resume=resume)

    def _start(self, text: str, begin: Callable, done: Callable, curves=None, **arguments: Any) -> None:
        self.progress.start(text)
        self._done = done
        self.preparation.run(
            lambda: self.logic.ensureTrainingPackages(self._ask),
            lambda: self.parameters is not None,
            lambda: self._begin(begin, curves, arguments),
        )

    def _begin(self, begin, curves: Curves | None, arguments: dict[str, Any]) -> None:
        news = TrainingNews(self.progress, curves)
        steps = begin.steps(command=self.command, progress=news.report, **arguments)
        self._task = news.task = self._runner.task(
            steps,
            on_done=lambda lines: self._onEnd(lines, None),
            on_failed=lambda error: self._onEnd(None, error),
            on_poll=news.poll,
        )
        self._news = news
        self._runner.start(self._task)

    def _onEnd(self, lines: tuple | None, error: Exception | None) -> None:
        self._news.end()
        if error is None:
            self.progress.finish(self._done(lines))
        elif isinstance(error, Cancelled):
            self.progress.finish(str(error))
        self._showButtons()
        if error is not None and not isinstance(error, Cancelled):
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        text = sentence_of(error)
        self.progress.finish(text, error=True)
        slicer.util.errorDisplay(text, _("Training"))

    def _showPlan(self, lines: tuple) -> str:
        self.ui.trainingPlanEdit.plainText = "\n".join(lines)
        self.ui.trainingPlanEdit.show()
        return _("The training can start; its plan is below.")

    def _added(self, identifier: str) -> Callable[[tuple], str]:
        def done(_lines) -> str:
            self._onAdded(identifier)
            return _("{name} is in the list of models.").format(name=identifier)

        return done

    def _onChanged(self, name: str, value: Any) -> None:
        try:
            if name == "recipe":
                config = settings.with_recipe(self.config, value)
            else:
                value = settings.parsed(self.config, name, value) if name in TEXTS else value
                config = settings.changed(self.config, **{name: value})
        except VoxelMorphError as error:
            self._problems[name] = str(error)
        else:
            self._problems.pop(name, None)
            if name == "recipe":  # all widgets show what it begins with
                self._problems.clear()
            self._keep(config)
        self._showButtons()

    def _onText(self, text: str) -> None:
        try:
            config = config_of_json(text, _MORE_OPTIONS)
        except VoxelMorphError as error:
            self._problems = {"options": str(error)}
        else:
            self._problems = {}
            self._keep(config, keepText=True)
        self._showButtons()

    def _keep(self, config: TrainingConfig, keepText: bool = False) -> None:
        self.config = config
        self.form.show(config, keepText, self._problems)
        self._stored = settings.settings_text(config)
        if self.parameters is not None:
            self.parameters.training = self._stored

    def _read(self) -> None:
        """Take over what a scene or a script brings; what cannot be used gives way to the first options."""
        self._problems, self._stored = {}, self.parameters.training
        try:
            self.config = settings.read_settings(self._stored)
        except VoxelMorphError as error:
            self.config = settings.first_config()
            self.progress.say(str(error), error=True)
        self.form.show(self.config)

    def _showButtons(self) -> None:
        ui, busy = self.ui, self.working or self.preparation.busy or self.blocked
        closed = "" if self.parameters is not None else _("Open the panel again: the scene was closed.")
        problem = next(iter(self._problems.values()), "")
        self.form.enable(not busy and not closed, self.config, "options" in self._problems)
        ui.trainingRecipeDescriptionLabel.text = self._recipes[self.config.recipe].description
        ui.trainingProblemLabel.text = problem
        ui.trainingProblemLabel.visible = bool(problem)
        first = closed or (_("A training or an installation is running.") if busy else problem)
        for button, missing, text in (
            ("checkTrainingButton", settings.missing_for_check, _("Read the data, estimate the memory, time one step")),
            ("trainButton", settings.missing_for_training, _("Start the training")),
            ("resumeTrainingButton", settings.missing_for_resume, _("Go on from the last checkpoint")),
            ("addModelButton", _missing_for_model, _("Add the best network to the list of models")),
        ):
            reason = first or missing(self.config)
            offer(getattr(ui, button), reason, text)
        ui.cancelTrainingButton.enabled = self.working
        ui.showCurvesButton.enabled = bool(self.config.output_dir) and not closed


def _missing_for_model(config: TrainingConfig) -> str:
    return "" if settings.checkpoint_of(config) else _("The output folder holds no trained network.")
