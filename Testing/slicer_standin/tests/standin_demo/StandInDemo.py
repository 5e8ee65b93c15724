"""A small scripted module in which every kind of widget and parameter occurs that our modules use."""

from __future__ import annotations

import enum
from typing import Annotated, Optional, Union

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, Minimum, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class StandInDemo(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Stand-in demo")
        self.parent.categories = ["Testing"]


class Mode(enum.Enum):
    FAST = 1
    EXACT = 2

    def label(self):
        return self.name.capitalize()


@parameterNodeWrapper
class StandInDemoParameterNode:
    fixedVolume: slicer.vtkMRMLScalarVolumeNode
    transform: slicer.vtkMRMLTransformNode
    anything: Union[slicer.vtkMRMLModelNode, slicer.vtkMRMLScalarVolumeNode, None]
    mask: Optional[slicer.vtkMRMLLabelMapVolumeNode] = None
    strength: Annotated[float, WithinRange(0, 10)] = 2.5
    count: Annotated[int, Minimum(1)] = 3
    inverse: bool = False
    interpolation: Annotated[str, Choice(["linear", "nearest"])] = "nearest"
    mode: Mode = Mode.EXACT
    comment: str = "none"


class GuiConnection:
    """`connectGui`, and a `disconnectGui` that also ends what Slicer 5.10 leaves behind: its observer of the node."""

    def __init__(self, parameters, ui):
        self._parameters, self._observers = parameters, []
        add = parameters.AddObserver
        parameters.AddObserver = lambda *arguments: self._observers.append(add(*arguments)) or self._observers[-1]
        try:
            self._tag = parameters.connectGui(ui)
        finally:
            del parameters.AddObserver

    def close(self):
        self._parameters.disconnectGui(self._tag)
        for tag in self._observers:  # VTK ignores those that are gone
            self._parameters.RemoveObserver(tag)


class StandInDemoWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.calls = []
        self.parameters = self.gui = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/StandInDemo.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = StandInDemoLogic()
        self.timer = qt.QTimer()
        self.timer.setInterval(5)
        self.timer.connect("timeout()", self.onTick)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.ui.failButton.clicked.connect(self.onFail)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.connectParameters()

    def cleanup(self):
        self.calls.append("cleanup")
        self.timer.stop()
        self.disconnectParameters()
        self.removeObservers()

    def enter(self):
        self.calls.append("enter")

    def exit(self):
        self.calls.append("exit")

    def onSceneClose(self, caller, event):
        self.disconnectParameters()

    def onSceneEndClose(self, caller, event):
        self.connectParameters()

    def connectParameters(self):
        self.parameters = StandInDemoParameterNode(self.logic.getParameterNode())
        self.gui = GuiConnection(self.parameters, self.ui)
        self.addObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self.updateButtons()

    def disconnectParameters(self):
        if self.parameters is not None:
            self.gui.close()
            self.removeObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
            self.parameters = None

    def updateButtons(self, caller=None, event=None):
        self.ui.applyButton.enabled = self.parameters.fixedVolume is not None
        self.ui.applyButton.toolTip = "" if self.ui.applyButton.enabled else _("Choose a volume")

    def onApply(self):
        self.ui.progressBar.value = 0
        self.timer.start()

    def onTick(self):
        self.ui.progressBar.value += 20
        self.ui.statusLabel.text = f"{self.ui.progressBar.value} %"
        if self.ui.progressBar.value == self.ui.progressBar.maximum:
            self.timer.stop()

    def onFail(self):
        raise ValueError("the demo fails on purpose")


class StandInDemoLogic(ScriptedLoadableModuleLogic):
    pass
