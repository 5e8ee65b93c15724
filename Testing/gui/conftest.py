"""Qt stand-in, headless scene and module panels for every test of this folder."""

from support.qt_standin.fixtures import a_module_widget, application, dialogs, scene
from support.sequences import sequences

__all__ = ["a_module_widget", "application", "dialogs", "scene", "sequences"]
