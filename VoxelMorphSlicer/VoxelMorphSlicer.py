"""VoxelMorph in 3D Slicer: choose two volumes, register, receive the moved volume and both transforms."""

from __future__ import annotations

import importlib.util

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class VoxelMorphSlicer(ScriptedLoadableModule):
    """What the application shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "VoxelMorph"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.contributors = ["VoxelMorph for 3D Slicer contributors"]
        self.parent.helpText = _(
            "Aligns the moving volume with the fixed volume by a VoxelMorph network, or by optimising the pair itself. "
            "Results: the moved volume on the fixed grid, the transform to place the moving volume and everything "
            "drawn on it under, and its inverse. "
            '<a href="https://github.com/SlicerVoxelMorph/SlicerVoxelMorph">Documentation</a>'
        )
        self.parent.acknowledgementText = _(
            "Networks: VoxelMorph (Balakrishnan et al., IEEE TMI 2019; Dalca et al., Medical Image Analysis 2019) and "
            "SynthMorph (Hoffmann et al., IEEE TMI 2022). Please cite the papers of the network that you use."
        )


class VoxelMorphSlicerWidget(ScriptedLoadableModuleWidget):
    """The panel: two volumes, a model, Register and Cancel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic = None
        self.cancelRequested = False

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/VoxelMorphSlicer.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = VoxelMorphSlicerLogic()
        for entry in self.logic.models():
            self.ui.modelComboBox.addItem(entry.title, entry.id)
        self.ui.fixedSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.updateButtons)
        self.ui.movingSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.updateButtons)
        self.ui.registerButton.connect("clicked(bool)", self.onRegister)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancel)
        self.updateButtons()

    def cleanup(self):
        self.cancelRequested = True

    def updateButtons(self, *_node):
        fixed, moving = self.ui.fixedSelector.currentNode(), self.ui.movingSelector.currentNode()
        ready = bool(fixed and moving and fixed is not moving)
        self.ui.registerButton.enabled = ready
        self.ui.registerButton.toolTip = "" if ready else _("Choose two different volumes first")

    def onRegister(self):
        from VoxelMorphLib.core.errors import Cancelled, VoxelMorphError

        fixed, moving = self.ui.fixedSelector.currentNode(), self.ui.movingSelector.currentNode()
        self._showRunning(True)
        try:
            nodes = self.logic.register(fixed, moving, self.ui.modelComboBox.currentData, progress=self.onProgress)
            self.ui.statusLabel.text = _("Done: {name}").format(name=nodes["moved"].GetName())
        except Cancelled:
            self.ui.statusLabel.text = _("Cancelled; the scene is as before")
        except VoxelMorphError as error:
            self.ui.statusLabel.text = _("Failed; the scene is as before")
            slicer.util.errorDisplay(str(error))
        finally:
            self._showRunning(False)

    def onCancel(self):
        self.cancelRequested = True

    def onProgress(self, fraction, text):
        from VoxelMorphLib.core.errors import Cancelled

        self.ui.progressBar.value = int(100 * fraction)
        self.ui.statusLabel.text = text
        slicer.app.processEvents()
        if self.cancelRequested:
            raise Cancelled(_("The registration was cancelled."))

    def _showRunning(self, running):
        self.cancelRequested = False
        self.ui.inputsBox.enabled = not running
        self.ui.cancelButton.enabled = running
        self.ui.progressBar.visible = running
        self.ui.registerButton.enabled = False
        if not running:
            self.updateButtons()


class VoxelMorphSlicerLogic(ScriptedLoadableModuleLogic):
    """Registration of scene nodes; needs no widget."""

    def models(self):
        """The models that this version can run, in the order of the catalogue."""
        from VoxelMorphLib.weights.catalogue import load_catalogue

        return [entry for entry in load_catalogue().values() if entry.available]

    def register(self, fixedNode, movingNode, model=None, options=None, progress=None, weightsDir=None):
        """Register two volume nodes in this process and add the results to their scene.

        Args:
            fixedNode: scalar volume that stays.
            movingNode: scalar volume that is moved; neither input node is changed.
            model: id of the catalogue or a weights file; None takes the default model.
            options: `RegistrationOptions`; None takes its defaults.
            progress: called with a fraction from 0 to 1 and a text; may raise `Cancelled`.
            weightsDir: folder with weights that were downloaded before.

        Returns:
            {"moved": volume node on the fixed grid, "forward": transform node that carries the moving volume and what
            belongs to it onto the fixed one, "inverse": transform node of the opposite direction}.

        Raises:
            VoxelMorphError: an input, an option or the environment is unfit; the scene is then unchanged.
        """
        from VoxelMorphLib.bridge.nodes import image_from_node, write_registration
        from VoxelMorphLib.core.config import RegistrationOptions
        from VoxelMorphLib.core.errors import DependencyError
        from VoxelMorphLib.core.progress import silent

        if importlib.util.find_spec("torch") is None:
            raise DependencyError("PyTorch is not installed. Install it in the module PyTorch Utils, then try again.")
        from VoxelMorphLib.registration.pipeline import register

        fixed, moving = image_from_node(fixedNode, "fixed"), image_from_node(movingNode, "moving")
        registration = register(
            fixed, moving, model, options or RegistrationOptions(), progress or silent, weights_dir=weightsDir
        )
        return write_registration(registration, fixedNode, movingNode, moving_geometry=moving.geometry)


class VoxelMorphSlicerTest(ScriptedLoadableModuleTest):
    """Runs inside the application, without network, weights or GPU."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def test_optimisation_aligns_a_shifted_ball(self):
        import numpy as np
        from VoxelMorphLib.core.config import RegistrationOptions

        def ball(name, centre):
            distance = np.linalg.norm(np.indices((24, 24, 24)).T - centre, axis=-1)
            return slicer.util.addVolumeFromArray(np.clip(7 - distance, 0, 1), name=name)

        fixed, moving = ball("fixed", (12, 12, 12)), ball("moving", (14, 12, 11))
        nodes = VoxelMorphSlicerLogic().register(fixed, moving, "optimise", RegistrationOptions(budget_s=10))
        target, start, end = (slicer.util.arrayFromVolume(node) for node in (fixed, moving, nodes["moved"]))
        self.assertLess(np.abs(end - target).mean(), 0.3 * np.abs(start - target).mean())
        self.assertTrue(nodes["forward"].IsA("vtkMRMLTransformNode"))
        self.assertTrue(nodes["inverse"].IsA("vtkMRMLTransformNode"))
