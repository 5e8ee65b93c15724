"""A headless Slicer application on the slicer-core package: real scene, logics and command line queue, no Qt.

Test folders that need it import the fixtures `application` and `scene` in their conftest.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator

import pytest

#: Module logics that others look up by name; Volumes needs Colors.
LOGICS = {
    "Colors": "vtkMRMLColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Plots": "vtkSlicerPlotsLogic",
}


class HeadlessApplication:
    """Scene, application logic and module logics, set up in the order that Slicer needs."""

    def __init__(self) -> None:
        import slicer
        import vtk

        self.errors: list[str] = []
        self._collect_vtk_errors()
        self.scene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkSlicerApplicationLogic()
        self.logic.SetMRMLScene(self.scene)
        self.logic.GetColorLogic().SetMRMLScene(self.scene)
        self.logic.GetColorLogic().AddDefaultColorNodes()
        self.logic.SetSliceLogics(vtk.vtkCollection())
        self.logic.SetViewLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self.logics = {name: self.add_module_logic(name, kind) for name, kind in LOGICS.items()}
        self._connect_file_io()
        self._connect_command_line_queue()
        slicer.mrmlScene = self.scene

    def _collect_vtk_errors(self) -> None:
        import vtk

        window = vtk.vtkOutputWindow()
        window.SetDisplayModeToAlwaysStdErr()
        vtk.vtkOutputWindow.SetInstance(window)

        @vtk.calldata_type(vtk.VTK_STRING)
        def remember(_caller, _event, text):
            self.errors.append(text)

        window.AddObserver("ErrorEvent", remember)

    def add_module_logic(self, name: str, kind: str):
        """The logic of a module, known to the others by name and registering its node classes with the scene."""
        import slicer

        logic = getattr(slicer, kind)()
        logic.SetMRMLScene(self.scene)
        logic.SetMRMLApplicationLogic(self.logic)
        self.logic.SetModuleLogic(name, logic)
        return logic

    def _connect_file_io(self) -> None:
        """Without cache and data manager, reading the results of a command line module crashes."""
        import slicer

        self._folder = tempfile.TemporaryDirectory(prefix="mrml")
        self._remote_io, self._data_io = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
        for logic in (self._remote_io, self._data_io):
            logic.SetMRMLScene(self.scene)
            logic.SetMRMLApplicationLogic(self.logic)
        self._remote_io.GetCacheManager().SetRemoteCacheDirectory(self._folder.name)
        self._data_io.SetAndObserveDataIOManager(self._remote_io.GetDataIOManager())
        self._remote_io.AddDataIOToScene()
        self.logic.SetTemporaryPath(self._folder.name)

    def _connect_command_line_queue(self) -> None:
        """Without hierarchy and node class the command line logic crashes; without threads its results vanish."""
        import slicer

        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self.scene)
        self.scene.RegisterNodeClass(slicer.vtkMRMLCommandLineModuleNode())
        self.logic.CreateProcessingThread()

    def close(self) -> None:
        """End the processing threads, which would otherwise keep Python from ending."""
        self.logic.TerminateProcessingThread()
        self._folder.cleanup()


@functools.cache
def the_application() -> HeadlessApplication:
    """One application per process: several test folders share it."""
    import atexit

    application = HeadlessApplication()
    atexit.register(application.close)
    return application


@pytest.fixture(scope="session")
def application() -> HeadlessApplication:
    """The headless Slicer application; skips where slicer-core is not installed."""
    pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
    return the_application()


@pytest.fixture
def scene(application: HeadlessApplication) -> Iterator:
    """The application's scene, empty; the test fails when VTK or MRML reported an error."""
    application.scene.Clear(0)
    application.errors.clear()
    yield application.scene
    assert not application.errors, "\n".join(application.errors)
