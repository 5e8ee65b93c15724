"""Slice views of the headless application, drawn by Slicer's own displayable managers without a screen."""

from __future__ import annotations

import ctypes.util
import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

#: What draws into a slice besides the volumes.
MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLTransformsDisplayableManager2D",
)


@functools.cache
def _no_rendering() -> str:
    """Why nothing can be drawn here, or "". Tried in a child process because VTK ends the process when it fails."""
    if sys.platform == "linux" and ctypes.util.find_library("EGL") is None:
        return "libEGL is not installed (Debian: libegl1 libegl-mesa0 libgl1-mesa-dri)"
    draw = "import slicer, vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.Render()"
    run = subprocess.run([sys.executable, "-c", draw], capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else f"VTK cannot draw off screen: {run.stderr.strip()[-200:]}"


def require_rendering() -> None:
    """Skip the calling test, with the reason, where VTK cannot draw without a screen."""
    if _no_rendering():
        pytest.skip(_no_rendering())


class SliceView:
    """One slice view.

    Args:
        application: the headless application.
        orientation: "Axial", "Sagittal" or "Coronal".
        size: width and height in pixels.
        name: layout name; every view needs its own.
    """

    def __init__(self, application, orientation: str = "Axial", size: tuple[int, int] = (200, 200), name: str = "Red"):
        self.size = size
        self._make_window()
        self._make_logic(application, name)
        self._logic.GetSliceNode().SetOrientation(orientation)

    def _make_window(self) -> None:
        import vtk

        self._renderer = vtk.vtkRenderer()
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(*self.size)
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.Initialize()
        self._slice = vtk.vtkImageMapper()
        self._slice.SetColorWindow(255)
        self._slice.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._slice)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(self._actor)

    def _make_logic(self, application, name: str) -> None:
        import slicer

        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application.logic)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.Initialize(factory, self._renderer)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application.logic)
        application.logic.GetSliceLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(application.scene)
        self._managers.SetMRMLDisplayableNode(self._logic.AddSliceNode(name))
        self._slice_logics = application.logic.GetSliceLogics()

    def show(self, background, foreground=None, opacity: float = 0.5) -> None:
        """Choose the volumes; `opacity` is that of the foreground."""
        layers = self._logic.GetSliceCompositeNode()
        layers.SetBackgroundVolumeID(background.GetID())
        layers.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        layers.SetForegroundOpacity(opacity if foreground else 0)

    def fit(self) -> None:
        """Make the background fill the view; the slice goes through a voxel plane of it."""
        self._logic.ResizeSliceNode(*self.size)
        self._logic.FitSliceToBackground()
        self._logic.SnapSliceOffsetToIJK()

    def picture(self, path: Path | None = None) -> np.ndarray:
        """(height, width, 3), uint8, first row on top; written as PNG where a path is given."""
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        self._slice.SetInputConnection(self._logic.GetImageDataConnection())
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        if path is not None:
            writer = vtk.vtkPNGWriter()
            writer.SetFileName(str(path))
            writer.SetInputData(grab.GetOutput())
            writer.Write()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return pixels.reshape(*self.size[::-1], 3)[::-1].copy()

    def close(self) -> None:
        """Free the window and take the view out of the application: its nodes would survive closing the scene."""
        self._managers.SetMRMLDisplayableNode(None)
        for node in (self._logic.GetSliceNode(), self._logic.GetSliceCompositeNode()):
            node.GetScene().RemoveNode(node)
        self._logic.SetMRMLScene(None)
        self._slice_logics.RemoveItem(self._logic)
        self._window.Finalize()
