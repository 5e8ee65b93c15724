"""The stand-in's own fixtures."""

from slicer_standin.fixtures import a_module_widget, application, dialogs, scene

__all__ = ["a_module_widget", "application", "dialogs", "scene"]
