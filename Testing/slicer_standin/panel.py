"""An open module panel as tests use it: by clicking, choosing and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import slicer

from .scripted_module import load_module, open_panel, set_entered, unload_module

#: What the items of the menu of a node selector need and do.
_MENU = {
    "Create new": ("addEnabled", "addNode"),
    "Rename current": ("renameEnabled", "renameCurrentNode"),
    "Delete current": ("removeEnabled", "removeCurrentNode"),
}


class Panel:
    """The panel of one module.

    Args:
        path: the module's Python file.
    """

    def __init__(self, path: Path):
        self.module = load_module(path)
        self.frame = open_panel(self.module)

    @property
    def widget(self):
        """The module's widget object; another one after a reload."""
        return self.frame.self()

    @property
    def ui(self):
        """The named widgets of the .ui file."""
        return self.widget.ui

    @property
    def logic(self):
        """The logic that the panel uses."""
        return self.widget.logic

    def click(self, name: str) -> None:
        """Click a button as a user would: AssertionError where it is hidden or disabled."""
        button = getattr(self.ui, name)
        assert button.isVisibleTo(self.frame), f"{name} is hidden"
        assert button.isEnabledTo(self.frame), f"{name} is disabled: {button.toolTip}"
        button.click()

    def trigger(self, button_name: str, name: str) -> None:
        """Click an item of the menu of a button: AssertionError where either is disabled, or the button hidden."""
        button = getattr(self.ui, button_name)
        action = next(item for item in button.menu().actions() if item.name == name)
        assert button.isVisibleTo(self.frame), f"{button.name} is hidden"
        assert button.isEnabledTo(self.frame), f"{button.name} is disabled: {button.toolTip}"
        assert action.enabled, f"{name} is disabled"
        action.trigger()

    def choose(self, **nodes) -> None:
        """Choose nodes in selectors: `choose(fixedSelector=node)`; AssertionError where a node is not listed."""
        for name, node in nodes.items():
            selector = getattr(self.ui, name)
            assert selector.isEnabledTo(self.frame), f"{name} is disabled: {selector.toolTip}"
            selector.setCurrentNode(node)
            assert selector.currentNode() is node, f"{name} does not list {node.GetName()}"

    def pick(self, name: str, action: str):
        """Click an item of the menu of a node selector: "Create new", "Rename current" or "Delete current".

        Returns:
            The node that was created, if one was.
        """
        flag, method = _MENU[action]
        selector = getattr(self.ui, name)
        assert selector.isEnabledTo(self.frame), f"{name} is disabled: {selector.toolTip}"
        assert getattr(selector, flag), f"the menu of {name} has no '{action}'"
        return getattr(selector, method)()

    def wait(self, until: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Let the application run until the condition holds; AssertionError when it never does."""
        spin_until(until, timeout_s)

    def enter(self) -> None:
        """Come back to the module."""
        set_entered(self.module, True)

    def leave(self) -> None:
        """Go to another module."""
        set_entered(self.module, False)

    def picture(self, path: Path, width: int = 430, height: int = 0):
        """Write the panel as PNG; returns the QPixmap. A height of 0 takes what the panel wants."""
        self.frame.show()
        self.frame.resize(width, self.frame.height)
        slicer.app.processEvents()
        self.frame.resize(width, height or self._wanted_height(width))
        slicer.app.processEvents()
        pixels = self.frame.grab()
        pixels.save(str(path))
        self.frame.hide()
        return pixels

    def _wanted_height(self, width: int) -> int:
        """Texts that wrap need more height in a narrow panel than `sizeHint` says."""
        layout = self.frame.layout()
        return max(layout.heightForWidth(width), self.frame.minimumSizeHint.height())

    def close(self) -> None:
        """End the module as the application does when it ends."""
        if self.module is not None:
            unload_module(self.module)
        self.module = self.frame = None


def spin_until(until: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Process events until the condition holds; AssertionError at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < deadline, f"nothing happened within {timeout_s:g} s"
        slicer.app.processEvents()
        time.sleep(0.002)


def spin(seconds: float) -> None:
    """Process events for a while."""
    end = time.monotonic() + seconds
    spin_until(lambda: time.monotonic() >= end, seconds + 1)
