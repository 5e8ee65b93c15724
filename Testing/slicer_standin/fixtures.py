"""Fixtures for tests that click; a test folder imports them in its conftest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .headless import the_application


@pytest.fixture(scope="module")
def application() -> Iterator:
    """The headless application with `slicer.app`, `qt` and `ctk`; skips where a package is missing."""
    pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
    without_qt = "PySide6 is not installed, or a library of the system that it needs (pip install PySide6-Essentials)"
    pytest.importorskip("PySide6.QtUiTools", reason=without_qt, exc_type=ImportError)
    from .installation import installed

    headless = the_application()
    with installed(headless):
        yield headless


@pytest.fixture
def scene(application) -> Iterator:
    """The empty scene and no settings; the test fails when a slot raised, or when VTK or MRML reported an error."""
    import slicer

    from .signals import disconnect_all, recording
    from .strict import forget_deleted

    application.scene.Clear(0)
    application.errors.clear()
    slicer.app.settings().clear()
    with recording() as slot_errors:
        yield application.scene
        slicer.app.processEvents()
    disconnect_all(slicer.app)
    forget_deleted()
    assert not slot_errors, f"raised where Qt or VTK only print it: {slot_errors}"
    assert not application.errors, "\n".join(application.errors)


@pytest.fixture
def dialogs(application, monkeypatch):
    """What dialogs said, and how the test answers them; a dialog that the test does not answer fails it."""
    from .dialogs import Dialogs

    made = Dialogs(monkeypatch)
    yield made
    assert not made.unanswered, f"the test does not answer these dialogs: {made.unanswered}"


@pytest.fixture(scope="session")
def module_file() -> Path:
    """The Python file of the module that `a_module_widget()` opens; an extension's conftest overrides this fixture."""
    raise LookupError("No module to open. Define the fixture `module_file`, or call a_module_widget(path).")


@pytest.fixture
def a_module_widget(scene, dialogs, request) -> Iterator[Callable]:
    """Opens module panels, closed after the test: `a_module_widget()` is the `Panel` of `module_file`."""
    from .panel import Panel

    opened = []

    def open_module(path: Path | None = None) -> Panel:
        opened.append(Panel(path or request.getfixturevalue("module_file")))
        return opened[-1]

    yield open_module
    for panel in opened:
        panel.close()
