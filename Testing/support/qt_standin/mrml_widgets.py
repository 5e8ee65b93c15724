"""qMRML widgets that only need to know the scene."""

from __future__ import annotations

from PySide6 import QtWidgets
from PySide6.QtCore import Signal

from .declare import stand_in
from .strict import emit, strict

SCENE_CHANGED = "mrmlSceneChanged(vtkMRMLScene*)"


@stand_in(methods=["setMRMLScene", "mrmlScene"], signals=[SCENE_CHANGED])
class qMRMLWidget(strict(QtWidgets.QWidget)):
    """A widget that hands its scene on."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._scene = None

    def mrmlScene(self):
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """Tell everybody connected, when it is another scene."""
        if scene is not self._scene:
            self._scene = scene
            emit(self, "mrmlSceneChanged", scene)


@stand_in(methods=["setMRMLScene"], signals=[SCENE_CHANGED])
class qSlicerWidget(qMRMLWidget):
    """Like qMRMLWidget, but its `mrmlScene` is a plain C++ method that Python does not see."""

    def mrmlScene(self):
        """Hidden from module code."""
        return self._scene
