"""Menus behind a button, and folders shown in the file manager."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import qt

from ...core.io.files import make_folder


def make_menu(button, items: Iterable[tuple[str, str, Callable[[], None]]]) -> dict[str, qt.QAction]:
    """Put a menu behind a button.

    Args:
        button: qt.QToolButton.
        items: name, text and work of each.

    Returns:
        The actions by name.
    """
    menu, actions = qt.QMenu(button), {}
    for name, text, work in items:
        action = menu.addAction(text)
        action.objectName = name
        action.connect("triggered(bool)", work)
        actions[name] = action
    button.setMenu(menu)
    return actions


def open_folder(folder: Path) -> None:
    """Show a folder in the file manager; it is made where it does not exist yet.

    Raises:
        OutputError: it cannot be made.
    """
    make_folder(folder, "Allow writing there.")
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))
