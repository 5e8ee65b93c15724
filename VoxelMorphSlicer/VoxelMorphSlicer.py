"""VoxelMorph in 3D Slicer: choose two volumes, register, and carry along whatever belongs to them."""

from __future__ import annotations

import importlib.util
import logging
import sys
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class VoxelMorphSlicer(ScriptedLoadableModule):
    """What the application shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "VoxelMorph"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        # Slicer asks only the modules of a node's class whether they can edit it.
        self.parent.associatedNodeTypes = ["vtkMRMLScriptedModuleNode"]
        self.parent.contributors = ["VoxelMorph for 3D Slicer contributors"]
        self.parent.helpText = _(
            "Aligns the moving volume with the fixed volume by a VoxelMorph network, or by optimising the pair itself. "
            "Results: the moved volume on the fixed grid, the transform to place the moving volume and everything "
            "drawn on it under, and its inverse. "
            '<a href="https://github.com/SlicerVoxelMorph/SlicerVoxelMorph">Documentation</a>'
        )
        self.parent.acknowledgementText = _(
            "Networks: VoxelMorph ("
            '<a href="https://doi.org/10.1109/TMI.2019.2897538">Balakrishnan et al., IEEE TMI 2019</a>; '
            '<a href="https://doi.org/10.1016/j.media.2019.07.006">Dalca et al., Medical Image Analysis 2019</a>) and '
            'SynthMorph (<a href="https://doi.org/10.1109/TMI.2021.3116879">Hoffmann et al., IEEE TMI 2022</a>). '
            "Please cite the papers of the network that you use."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the pair of the tutorial as one click; the files are those of the core samples MRBrainTumor1 and 2."""
    import SampleData

    digests = (
        "998cb522173839c78657f4bc0ea907cea09fd04e44601f17c82ea27927937b95",
        "1a64f3f422eb3d1c9b093d1a18da354b13bcf307907c66317e2463ee530b7a97",
    )
    address = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="VoxelMorph",
        sampleName="VoxelMorphBrainPair",
        uris=[address + digest for digest in digests],
        fileNames=["RegLib_C01_1.nrrd", "RegLib_C01_2.nrrd"],
        nodeNames=["MRBrainTumor1", "MRBrainTumor2"],
        checksums=[f"SHA256:{digest}" for digest in digests],
        thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / "VoxelMorphBrainPair.png"),
    )


class VoxelMorphSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life in the application; what it does is in VoxelMorphLib.bridge.panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._gui = None

    def setup(self):
        from VoxelMorphLib.bridge.panel.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/VoxelMorphSlicer.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = VoxelMorphSlicerLogic()
        self.panel = Panel(self.ui, self.logic, self.makeWorker)
        selector = self.ui.parameterNodeSelector
        selector.addAttribute("vtkMRMLScriptedModuleNode", "ModuleName", self.moduleName)
        selector.connect("currentNodeChanged(vtkMRMLNode*)", self.onParameterNodeSelected)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    def makeWorker(self):
        """The process that computes, for the first registration."""
        from VoxelMorphLib.bridge.background.worker import WorkerClient

        return WorkerClient(temporary_folder=Path(slicer.app.temporaryPath))  # reading it makes the folder

    def cleanup(self):
        """End everything, also what a `setup` that raised has left: Reload calls this before it builds anew."""
        try:
            if self.panel is not None:
                # The selector outlives this object as a hidden child of the panel.
                selector = self.ui.parameterNodeSelector
                selector.disconnect("currentNodeChanged(vtkMRMLNode*)", self.onParameterNodeSelected)
                self.panel.close()
                self.setParameterNode(None)
        finally:
            self.removeObservers()
            if self.logic is not None:
                self.logic.close()

    def enter(self):
        self.initializeParameterNode()
        if self.panel is not None:
            self.panel.devices.findOnce()

    def exit(self):
        """Leaving the module keeps a registration running, and lets the slice views rest."""
        if self.panel is not None:
            self.panel.results.close()

    def onReload(self):
        """Also reload the library."""
        for name in [name for name in sys.modules if name.split(".")[0] == "VoxelMorphLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, _caller, _event):
        self.panel.onCancel()
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller, _event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, _caller, _event):
        """Show the configuration that a scene file brought, instead of the empty one that closing the scene left."""
        from VoxelMorphLib.bridge.panel.configuration import is_untouched
        from VoxelMorphLib.bridge.panel.parameters import VoxelMorphSlicerParameterNode

        shown = self._parameterNode.parameterNode if self._parameterNode is not None else None
        others = [node for node in self.logic.getAllParameterNodes() if node is not shown]
        if others and shown is not None and is_untouched(shown, VoxelMorphSlicerParameterNode):
            self.setParameterNode(others[0])
            slicer.mrmlScene.RemoveNode(shown)

    def setEditedNode(self, node, role="", context=""):
        """Open a configuration that was double-clicked in the data tree."""
        self.setParameterNode(node)
        return node is not None

    def nodeEditable(self, node):
        """How well this module can edit `node`, 0 to 1."""
        return 0.7 if node is not None and node.GetAttribute("ModuleName") == self.moduleName else 0.0

    def initializeParameterNode(self):
        """Show the configuration that was shown last, or the first of the scene; make one if there is none."""
        if self._parameterNode is None and self.panel is not None:
            self.setParameterNode(self.logic.configurationNode())

    def onParameterNodeSelected(self, node):
        """Show what was chosen; a configuration that was removed gives way to another one."""
        if node is not None or slicer.mrmlScene.IsClosing():
            self.setParameterNode(node)
        elif self._parameterNode is not None and not slicer.mrmlScene.IsNodePresent(self._parameterNode.parameterNode):
            self.setParameterNode(self.logic.configurationNode())

    def setParameterNode(self, node):
        """Show a configuration.

        Args:
            node: vtkMRMLScriptedModuleNode of this module, or None.
        """
        if self._parameterNode is not None:
            if node is self._parameterNode.parameterNode:
                return
            self._gui.close()
            self.removeObserver(self._parameterNode.parameterNode, "ModifiedEvent", self.panel.update)
            self._parameterNode = self._gui = None
        unreadable = self._showParameterNode(node) if node is not None else ""
        self.panel.connect(self._parameterNode)
        if unreadable:
            self.panel.progress.say(unreadable, error=True)

    def _showParameterNode(self, node):
        """Wrap and show a configuration; returns the sentence about values that cannot be used, or ""."""
        from VoxelMorphLib.bridge.panel.configuration import GuiConnection, without_unreadable
        from VoxelMorphLib.bridge.panel.parameters import VoxelMorphSlicerParameterNode

        unreadable = without_unreadable(node, VoxelMorphSlicerParameterNode)
        self._parameterNode = VoxelMorphSlicerParameterNode(node)
        self.ui.parameterNodeSelector.setCurrentNode(node)
        self._gui = GuiConnection(self._parameterNode, self.ui)
        self.addObserver(node, "ModifiedEvent", self.panel.update)
        return unreadable


class VoxelMorphSlicerLogic(ScriptedLoadableModuleLogic):
    """What the panel does, for the Python console, scripts and tests; needs no widget.

    Every method that is not here is one of `VoxelMorphLib.bridge.logic.VoxelMorphLogic`: models, register,
    registerSequence, applyTransform, jacobian, evaluate, train, checkTraining, addTrainedModel, curves, start.
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.isSingletonParameterNode = False
        self._library = None

    def __getattr__(self, name):
        # The library is imported at the first use, not when the application starts.
        from VoxelMorphLib.bridge.logic import VoxelMorphLogic

        if self._library is None:
            self._library = VoxelMorphLogic()  # which keeps what registrations in this process load
        return getattr(self._library, name)

    def close(self):
        """Free what registrations in this process keep for the next one."""
        if self._library is not None:
            self._library.close()

    def __dir__(self):
        """Also the methods of the library, for the completion of the Python console."""
        from VoxelMorphLib.bridge.logic import VoxelMorphLogic

        return sorted({*super().__dir__(), *(name for name in dir(VoxelMorphLogic) if not name.startswith("_"))})

    def createParameterNode(self):
        node = ScriptedLoadableModuleLogic.createParameterNode(self)
        node.SetName(slicer.mrmlScene.GenerateUniqueName("VoxelMorph"))
        return node

    def configurationNode(self):
        """The vtkMRMLScriptedModuleNode of the first configuration of the scene, made if there is none."""
        return ScriptedLoadableModuleLogic.getParameterNode(self)

    def getParameterNode(self):
        """The first configuration of the scene, made if there is none."""
        from VoxelMorphLib.bridge.panel.configuration import without_unreadable
        from VoxelMorphLib.bridge.panel.parameters import VoxelMorphSlicerParameterNode

        node = self.configurationNode()
        unreadable = without_unreadable(node, VoxelMorphSlicerParameterNode)
        if unreadable:
            logging.warning(unreadable)
        return VoxelMorphSlicerParameterNode(node)


class VoxelMorphSlicerTest(ScriptedLoadableModuleTest):
    """Runs inside the application, without network, weights or GPU."""

    def setUp(self):
        slicer.mrmlScene.Clear()
        self.logic = VoxelMorphSlicerLogic()

    def test_optimisation_aligns_a_shifted_ball(self):
        from VoxelMorphLib.bridge.background.worker import WorkerClient
        from VoxelMorphLib.core.config import RegistrationOptions

        if importlib.util.find_spec("torch") is None:
            self.skipTest("PyTorch is not installed")
        fixed, moving = _ball("fixed", (12, 12, 12)), _ball("moving", (14, 12, 11))
        worker = WorkerClient(temporary_folder=Path(slicer.app.temporaryPath))
        self.addCleanup(worker.close)
        for process in (None, worker):
            nodes = self.logic.register(fixed, moving, "optimise", RegistrationOptions(budget_s=10), worker=process)
            target, start, end = (slicer.util.arrayFromVolume(node) for node in (fixed, moving, nodes["moved"]))
            self.assertLess(abs(end - target).mean(), 0.3 * abs(start - target).mean())
            self.assertTrue(nodes["inverse"].IsA("vtkMRMLTransformNode"))

    def test_a_transform_carries_a_volume_and_its_landmarks(self):
        reference, moving = _ball("reference", (12, 12, 12)), _ball("moving", (14, 12, 12))
        shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
        matrix = slicer.util.arrayFromTransformMatrix(shift)
        matrix[0, 3] = -2
        slicer.util.updateTransformMatrixFromArray(shift, matrix)
        moved = self.logic.applyTransform(moving, shift, referenceVolume=reference)
        difference = slicer.util.arrayFromVolume(moved) - slicer.util.arrayFromVolume(reference)
        self.assertLess(abs(difference).max(), 1e-4)
        points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
        points.AddControlPoint(14, 12, 12)
        carried = self.logic.applyTransform(points, shift)
        self.assertEqual([round(value, 4) for value in carried.GetNthControlPointPosition(0)], [12, 12, 12])

    def test_a_configuration_survives_saving_the_scene(self):
        parameters = self.logic.getParameterNode()
        parameters.fixedVolume, parameters.smoothness = _ball("fixed", (12, 12, 12)), 1.5
        with tempfile.TemporaryDirectory() as folder:
            slicer.mrmlScene.SetURL(f"{folder}/scene.mrml")
            slicer.mrmlScene.Commit()
            slicer.mrmlScene.Connect()
        restored = self.logic.getParameterNode()
        self.assertEqual(restored.smoothness, 1.5)
        self.assertEqual(restored.fixedVolume.GetName(), "fixed")


def _ball(name, centre):
    """A volume of 24 voxels along each axis with a soft ball."""
    import numpy as np

    distance = np.linalg.norm(np.indices((24, 24, 24)).T - centre, axis=-1)
    return slicer.util.addVolumeFromArray(np.clip(7 - distance, 0, 1), name=name)
