"""Qt stand-in, headless scene, module panels and workers for every test of this folder."""

from support.panel_runs import attended, cache, during, hierarchy, panel, ready, real, scripted, the_library, volumes
from support.qt_standin.fixtures import a_module_widget, application, dialogs, scene
from support.sequences import sequences

__all__ = [
    "a_module_widget",
    "application",
    "attended",
    "cache",
    "dialogs",
    "during",
    "hierarchy",
    "panel",
    "ready",
    "real",
    "scene",
    "scripted",
    "sequences",
    "the_library",
    "volumes",
]
