"""slicer.app, its module manager and its files, over the headless application."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from .declare import stand_in
from .strict import strict

_TRANSFORM_SUFFIXES = (".h5", ".tfm", ".mat", ".txt")


@stand_in(
    methods=["module", "modulesNames", "factoryManager"],
    signals=["moduleAboutToBeUnloaded(QString)", "moduleLoaded(QString)"],
)
class qSlicerModuleManager(strict(QtCore.QObject)):
    """The modules that the factory made."""

    moduleAboutToBeUnloaded = Signal(str)
    moduleLoaded = Signal(str)

    def __init__(self):
        super().__init__()
        self._modules = {}

    def module(self, name: str):
        """The module of that name, or None."""
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        """Names of all modules."""
        return list(self._modules)


@stand_in(methods=["loadNodes", "saveNodes", "fileType", "fileWriterFileType"])
class qSlicerCoreIOManager(strict(QtCore.QObject)):
    """Reads and writes by Slicer's own logics; only the choice of the reader is imitated."""

    def __init__(self, headless):
        super().__init__()
        self._headless = headless

    def fileType(self, path: str) -> str:
        """How Slicer calls a file of this name."""
        return "TransformFile" if path.lower().endswith(_TRANSFORM_SUFFIXES) else "VolumeFile"

    def fileWriterFileType(self, node) -> str:
        """How Slicer calls the file of this node."""
        return "TransformFile" if node.IsA("vtkMRMLTransformNode") else "VolumeFile"

    def loadNodes(self, file_type: str, properties: dict, nodes, _messages=None) -> bool:
        """Add what is in the file to the scene and to the collection `nodes`."""
        path = Path(properties["fileName"])
        if not path.is_file():
            return False
        node = self._read(file_type, path, properties)
        if node is not None:
            nodes.AddItem(node)
        return node is not None

    def _read(self, file_type: str, path: Path, properties: dict):
        if file_type == "TransformFile":
            return self._headless.logics["Transforms"].AddTransform(str(path), self._headless.scene)
        name = properties.get("name") or path.name.split(".")[0]
        return self._headless.logics["Volumes"].AddArchetypeVolume(
            str(path), name, int(bool(properties.get("labelmap")))
        )

    def saveNodes(self, _file_type: str, properties: dict, _messages=None) -> bool:
        """Write one node."""
        node = self._headless.scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(properties["fileName"])
        storage.SetUseCompression(int(properties.get("useCompression", 1)))
        return bool(storage.WriteData(node))


@stand_in(
    methods=[
        *("applicationLogic", "coreIOManager", "ioManager", "layoutManager", "moduleDocumentationUrl", "moduleLogic"),
        *("moduleManager", "mrmlScene", "pauseRender", "processEvents", "resumeRender", "revisionUserSettings"),
        *("setRenderPaused", "settings", "startupEnvironment", "testingEnabled", "userSettings"),
    ],
    signals=["startupCompleted()", "mrmlSceneChanged(vtkMRMLScene*)"],
)
class qSlicerApplication(strict(QtWidgets.QApplication)):
    """The application without main window, in testing mode; settings live in a temporary folder."""

    startupCompleted = Signal()
    mrmlSceneChanged = Signal(object)

    def __init__(self, headless):
        super().__init__(["Slicer"])
        self._headless = headless
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-app")
        self._testing = True
        self._stored = {"temporaryPath": self._folder.name}
        QtCore.QCoreApplication.setOrganizationName("stand-in")
        QtCore.QCoreApplication.setApplicationName("Slicer")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, self._folder.name)
        self._modules, self._files = qSlicerModuleManager(), qSlicerCoreIOManager(headless)

    def applicationLogic(self):
        """Slicer's own application logic."""
        return self._headless.logic

    def mrmlScene(self):
        """The scene."""
        return self._headless.scene

    def moduleLogic(self, name: str):
        """Slicer's own logic of a loadable module, or None."""
        return self._headless.logics.get(name)

    def moduleManager(self):
        """The modules."""
        return self._modules

    def layoutManager(self):
        """None, as in `Slicer --no-main-window`."""

    def coreIOManager(self):
        """Readers and writers."""
        return self._files

    ioManager = coreIOManager

    def settings(self):
        """QSettings of this test run."""
        return strict(QtCore.QSettings)()

    userSettings = revisionUserSettings = settings

    def testingEnabled(self) -> bool:
        """Slicer's `--testing`."""
        return self._testing

    def processEvents(self) -> None:
        """Let Qt and the command line queue do what is due."""
        QtCore.QCoreApplication.processEvents()
        self._headless.logic.ProcessModified()
        self._headless.logic.ProcessReadData()

    def pauseRender(self) -> None:
        """Nothing is drawn."""

    resumeRender = pauseRender

    def setRenderPaused(self, paused: bool) -> None:
        """Nothing is drawn."""

    def startupEnvironment(self) -> dict[str, str]:
        """The environment before Slicer's launcher changed it."""
        return dict(os.environ)

    def moduleDocumentationUrl(self, name: str) -> str:
        """A page of the manual."""
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def _temporary_path(self) -> str:
        """The folder is made when it is asked for; one that cannot be made is only printed."""
        with contextlib.suppress(OSError):
            Path(self._stored["temporaryPath"]).mkdir(parents=True, exist_ok=True)
        return self._stored["temporaryPath"]

    temporaryPath = Property(str, _temporary_path, lambda self, path: self._stored.update(temporaryPath=path))
    slicerHome = Property(str, lambda self: self._folder.name)
    revision = Property(str, lambda self: "34362")
    repositoryRevision = Property(str, lambda self: "0")
    majorVersion = Property(int, lambda self: 5)
    minorVersion = Property(int, lambda self: 12)
    documentationBaseUrl = Property(str, lambda self: "https://slicer.readthedocs.io/en/latest/")
    os = Property(str, lambda self: "linux")
