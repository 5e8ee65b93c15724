"""The section "Many pairs": where they come from, the batch itself, and the table that it leaves in the scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import qt
import slicer
from slicer.i18n import tr as _

from ...batch.places import REPORT
from ...core.errors import AccessError, Cancelled, VoxelMorphError
from ...core.io.paths import is_file
from ..actions.batch import Batch
from ..background.runner import Runner
from ..background.steps import Task
from .apply_section import FolderChoice
from .parameters import options_for_model
from .parameters_check import offer
from .preparation import Preparation
from .progress_section import ProgressSection, sentence_of
from .report_pages import show_page

#: Path widgets by the parameter that they show.
PATHS = {"batchSource": "batchSourceEdit", "batchOutput": "batchOutputEdit"}


class BatchSection:
    """Registers many pairs with the model and the settings that are chosen above.

    Args:
        ui: the widgets by name.
        logic: of the module.
        runner: does what the button begins.
        approve: whether the licence of a model was agreed to.
        ask: shows a question about packages and tells whether the user agrees.
        onPreparing: called when `preparation` begins or ends.
    """

    def __init__(
        self,
        ui,
        logic,
        runner: Runner,
        approve: Callable[[str], bool],
        ask: Callable[[str], bool],
        onPreparing: Callable[[], None],
    ):
        self.ui, self.logic, self._runner, self._approve, self._ask = ui, logic, runner, approve, ask
        self.preparation = Preparation(onPreparing, self._complain)
        self.parameters = self.command = None
        self._task: Task | None = None
        self._showing = False
        bar, icon, label = ui.batchProgressBar, ui.batchStatusIconLabel, ui.batchStatusLabel
        self.progress = ProgressSection(SimpleNamespace(progressBar=bar, statusIconLabel=icon, statusLabel=label))
        self.folder = FolderChoice(ui.batchFolderComboBox, "batchFolder")
        ui.batchOutputEdit.filters = type(ui.batchOutputEdit).Dirs
        for name, widget in PATHS.items():
            edit = getattr(ui, widget)
            edit.connect("currentPathChanged(QString)", lambda value, name=name: self._keep(name, value))
            edit.connect(
                "validInputChanged(bool)", lambda _valid, name=name, edit=edit: self._keep(name, edit.currentPath)
            )
        ui.batchSourceFolderButton.connect("clicked(bool)", self._chooseFolder)
        ui.batchButton.connect("clicked(bool)", self.onRegister)
        ui.cancelBatchButton.connect("clicked(bool)", self.onCancel)
        ui.batchReportButton.connect("clicked(bool)", lambda _checked: show_page(self._page))

    @property
    def working(self) -> bool:
        """Whether something runs."""
        return self._task is not None and self._task.busy

    @property
    def _page(self) -> Path:
        """That of the output folder."""
        return Path(self.parameters.batchOutput) / REPORT

    def update(self, parameters, busy: bool) -> None:
        """Follow the configuration.

        Args:
            parameters: of the panel, None for none.
            busy: whether something is prepared that only one can do at a time.
        """
        self.parameters = parameters
        self.folder.show(parameters)
        self._showing = True
        for name, widget in PATHS.items():
            value = getattr(parameters, name) if parameters is not None else ""
            if getattr(self.ui, widget).currentPath != value:
                getattr(self.ui, widget).currentPath = value
        self._showing = False
        missing = self._missing(busy or self.working or self.preparation.busy)
        offer(self.ui.batchButton, missing, _("Register all pairs; those that are done and unchanged are skipped"))
        self.ui.cancelBatchButton.enabled = self.working
        missing = "" if self._has_page() else _("The output folder has no report yet.")
        offer(self.ui.batchReportButton, missing, _("Show the page with the worst pairs first in the browser"))

    def onRegister(self) -> None:
        """Begin, after the questions about licence and packages."""
        chosen = self.parameters
        if not self._approve(chosen.model):
            self.progress.say(_("The licence of the model was not agreed to; nothing was done"))
            return
        self.progress.start(_("Preparing"))
        self.preparation.run(
            lambda: self.logic.ensurePackages(chosen.model, self._ask),
            lambda: self.parameters is chosen,
            lambda: self._begin(chosen),
        )

    def onCancel(self) -> None:
        """Let the table be finished and end; the second time, end it at once."""
        if self.working:
            self._task.cancel()

    def _begin(self, chosen) -> None:
        batch = Batch(
            output=chosen.batchOutput,
            source=chosen.batchSource,
            table=chosen.batchTable,
            item=self.folder.item,
            template=chosen.batchTemplate,
            options=options_for_model(chosen),
            model=chosen.model,
            workers=chosen.batchWorkers,
            allow_fallback=chosen.allowFallback,
        )
        steps = self.logic.registerMany.steps(
            batch, chosen.batchResults, progress=self.progress.progress, command=self.command
        )
        self._task = self._runner.task(
            steps,
            on_done=lambda result: self._onDone(chosen, *result),
            on_failed=self._onFailed,
            on_poll=self.progress.tick,
        )
        self._runner.start(self._task)

    def _onDone(self, chosen, table, text: str) -> None:
        if chosen.parameterNode.GetScene() is not None:
            chosen.batchResults = table
        self.progress.finish(text)
        self.update(self.parameters, False)

    def _onFailed(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self.progress.finish(str(error))
        else:
            self._complain(error)
        self.update(self.parameters, False)

    def _complain(self, error: Exception) -> None:
        text = sentence_of(error)
        self.progress.finish(text, error=True)
        if isinstance(error, VoxelMorphError):
            slicer.util.errorDisplay(text, _("Many pairs"))

    def _missing(self, busy: bool) -> str:
        """Why nothing can start, "" when it can."""
        chosen = self.parameters
        if chosen is None:
            return _("Open the panel again: the scene was closed.")
        if busy:
            return _("A batch or an installation is running.")
        if not (chosen.batchSource or chosen.batchTable is not None or self.folder.item):
            return _("Choose a folder of images, a table of pairs, or a folder of the data tree.")
        return "" if chosen.batchOutput else _("Choose an output folder.")

    def _has_page(self) -> bool:
        try:
            return self.parameters is not None and is_file(self._page)
        except AccessError:  # the command says what is wrong with the folder
            return False

    def _keep(self, name: str, value: str) -> None:
        if not self._showing and self.parameters is not None:
            setattr(self.parameters, name, value)

    def _chooseFolder(self, _checked: bool) -> None:
        edit = self.ui.batchSourceEdit
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Choose a folder"), edit.currentPath)
        if folder:
            edit.currentPath = folder
