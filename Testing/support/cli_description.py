"""Command line descriptions parsed, and their programs run, by Slicer's own code in the slicer-core package.

The package has the parser and the logic but not their Python wrapping, so the exported C++ functions are called through
ctypes. That works with the one binary the symbols and the string layout were taken from (Linux x86_64, libstdc++'s old
strings); anywhere else `require_parser` skips with the reason.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_LIBRARIES = {
    "parser": "third_party.libs/libModuleDescriptionParser.so",
    "node": "libMRMLCLI.so",
    "logic": "libvtkSlicerBaseLogic.so",
}
_SYMBOLS = {
    "construct": ("parser", "_ZN17ModuleDescriptionC1Ev"),
    "parse": ("parser", "_ZN23ModuleDescriptionParser5ParseERKSsR17ModuleDescription"),
    "set_type": ("parser", "_ZN17ModuleDescription7SetTypeERKSs"),
    "set_target": ("parser", "_ZN17ModuleDescription9SetTargetERKSs"),
    "set_location": ("parser", "_ZN17ModuleDescription11SetLocationERKSs"),
    "to_node": ("node", "_ZN28vtkMRMLCommandLineModuleNode20SetModuleDescriptionERK17ModuleDescription"),
    "to_logic": ("logic", "_ZN23vtkSlicerCLIModuleLogic27SetDefaultModuleDescriptionERK17ModuleDescription"),
}
#: More than sizeof(ModuleDescription), which is a few hundred bytes.
_DESCRIPTION_BYTES = 16384


@functools.cache
def _functions() -> dict[str, ctypes._CFuncPtr] | str:
    """The C++ functions by our names, or the reason why there are none."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"the parser of slicer-core is called on Linux x86_64 only, this is {sys.platform} {platform.machine()}"
    try:
        import slicer_core
    except ImportError:
        return "slicer-core is not installed"
    folder = Path(slicer_core.__file__).parent
    try:
        libraries = {name: ctypes.CDLL(str(folder / path)) for name, path in _LIBRARIES.items()}
        return {name: getattr(libraries[library], symbol) for name, (library, symbol) in _SYMBOLS.items()}
    except (OSError, AttributeError) as error:
        return f"this slicer-core has another parser: {error}"


def require_parser() -> None:
    """Skip the calling test, with the reason, where Slicer's parser cannot be called."""
    functions = _functions()
    if isinstance(functions, str):
        pytest.skip(functions)


class Description:
    """A parsed command line description.

    Args:
        xml: the text.
        target: the script that runs; Slicer puts it after `location`.
        location: the interpreter.
    """

    def __init__(self, xml: str, target: str = "", location: str = ""):
        self._memory = ctypes.create_string_buffer(_DESCRIPTION_BYTES)
        self._strings: list[ctypes.Array] = []
        functions = _functions()
        functions["construct"](self._memory)
        stateless_parser = ctypes.create_string_buffer(64)
        functions["parse"].restype = ctypes.c_int
        with _captured_stderr() as messages:
            self.status = functions["parse"](stateless_parser, self._string(xml), self._memory)
        self.messages = messages[0]
        for name, text in (("type", "CommandLineModule"), ("target", target), ("location", location)):
            functions[f"set_{name}"](self._memory, self._string(text))

    def _string(self, text: str) -> ctypes._Pointer:
        """A `std::string` of the old layout: length, capacity and a reference count of -1, never shared, come first."""
        data = text.encode()
        self._strings.append(ctypes.create_string_buffer(struct.pack("<QQq", len(data), len(data), -1) + data + b"\0"))
        return ctypes.byref(ctypes.c_void_p(ctypes.addressof(self._strings[-1]) + 24))

    def node(self, scene):
        """A command line node with this description, added to the scene."""
        import slicer

        node = slicer.vtkMRMLCommandLineModuleNode()
        scene.AddNode(node)
        _functions()["to_node"](_address(node), self._memory)
        return node

    def logic(self, application):
        """The logic that runs nodes of this description."""
        import slicer

        logic = slicer.vtkSlicerCLIModuleLogic()
        _functions()["to_logic"](_address(logic), self._memory)
        logic.SetMRMLScene(application.scene)
        logic.SetMRMLApplicationLogic(application.logic)
        return logic


def _address(vtk_object) -> ctypes.c_void_p:
    return ctypes.c_void_p(int(vtk_object.__this__[1:17], 16))


@contextlib.contextmanager
def _captured_stderr() -> Iterator[list[str]]:
    """Collect what C++ writes to the standard error channel; the text is there after the block."""
    messages = [""]
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield messages
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            messages[0] = file.read().decode(errors="replace").strip()


_PROPERTIES = {
    "tag": "Tag",
    "name": "Name",
    "flag": "Flag",
    "longflag": "LongFlag",
    "index": "Index",
    "default": "Default",
    "channel": "Channel",
    "type": "Type",
    "minimum": "Minimum",
    "maximum": "Maximum",
    "extensions": "FileExtensions",
    "label": "Label",
    "description": "Description",
}


def parameters(node) -> list[dict[str, str]]:
    """All parameters of a command line node as Slicer understood them, with the label of their group."""
    found = []
    for group in range(node.GetNumberOfParameterGroups()):
        for index in range(node.GetNumberOfParametersInGroup(group)):
            values = {key: getattr(node, f"GetParameter{name}")(group, index) for key, name in _PROPERTIES.items()}
            found.append({**values, "group": node.GetParameterGroupLabel(group)})
    return found


def run_to_end(node, logic, application, limit_s: float = 120) -> None:
    """Run a command line node as Slicer does, read its results into the scene, and wait for both.

    Raises:
        TimeoutError: it did not end within `limit_s`; the process is ended.
    """
    logic.Apply(node, False)
    end = time.monotonic() + limit_s
    while node.IsBusy():
        _process_queues(application)
        if time.monotonic() > end:
            node.Cancel()
            raise TimeoutError(f"{node.GetName()} still runs after {limit_s} s.")
        time.sleep(0.02)
    for _ in range(5):  # results are read, then references and transforms are set, by separate requests
        _process_queues(application)


def _process_queues(application) -> None:
    application.logic.ProcessModified()
    application.logic.ProcessReadData()
