"""What a configuration needs around `slicer.parameterNodeWrapper`: values that can be read, observers that end."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import slicer
from slicer.i18n import tr as _

#: Parameters that took nodes of their first class alone once.
_OF_SEVERAL_CLASSES = ("sequence", "fixedSegmentation", "movingSegmentation", "movedSegmentation")


def without_unreadable(node, wrapper: type) -> str:
    """Remove numbers that cannot be read, so that the wrapper gives them their defaults.

    Args:
        node: vtkMRMLScriptedModuleNode, perhaps of a damaged scene.
        wrapper: class decorated with `parameterNodeWrapper`; only its annotated numbers are checked.

    Returns:
        What was removed, as a sentence; "" where everything is fine.
    """
    _rename(node)
    hints = get_type_hints(wrapper, include_extras=True)
    numbers = {name: hint for name, hint in hints.items() if get_origin(hint) is Annotated and node.HasParameter(name)}
    texts = {name: node.GetParameter(name) for name in numbers}
    unreadable = {name: text for name, text in texts.items() if not _is_number(text, numbers[name])}
    for name in unreadable:
        node.UnsetParameter(name)
    values = ", ".join(f'{name} "{text}"' for name, text in unreadable.items())
    sentence = _("{node} holds values that cannot be used ({values}); the defaults are used instead")
    return sentence.format(node=node.GetName(), values=values) if unreadable else ""


def is_untouched(node, wrapper: type) -> bool:
    """Whether nobody has chosen anything in a configuration yet.

    Args:
        node: vtkMRMLScriptedModuleNode of a configuration.
        wrapper: class decorated with `parameterNodeWrapper`.
    """
    roles: list[str] = []
    node.GetNodeReferenceRoles(roles)
    if any(node.GetNodeReferenceID(role) for role in roles):
        return False
    new = slicer.vtkMRMLScriptedModuleNode()
    wrapper(new)  # gives it the defaults
    names = {*new.GetParameterNames(), *node.GetParameterNames()}
    return all(node.GetParameter(name) == new.GetParameter(name) for name in names)


def _rename(node) -> None:
    """Scenes of before hold nodes under the names that parameters of one class alone have."""
    for name in _OF_SEVERAL_CLASSES:
        reference = node.GetNodeReferenceID(name)
        if reference is not None:
            node.SetParameter(f"{name}.0", "")  # marks a reference that has a value
            node.SetNodeReferenceID(f"{name}.0", reference)
            node.UnsetParameter(name)
            node.RemoveNodeReferenceIDs(name)


def _is_number(text: str, hint: Any) -> bool:
    """Whether the text is a number of this type and within its limits."""
    kind, *limits = get_args(hint)
    try:
        for limit in limits:
            limit.validate(kind(text))
    except ValueError:
        return False
    return True


class GuiConnection:
    """Widgets that show a configuration, until `close`.

    Args:
        parameters: the wrapped parameter node.
        ui: the widgets by name.
    """

    def __init__(self, parameters, ui):
        self._parameters, self._observers = parameters, []
        add = parameters.AddObserver

        def add_and_keep(*arguments) -> int:
            self._observers.append(add(*arguments))
            return self._observers[-1]

        parameters.AddObserver = add_and_keep
        try:
            self._tag = parameters.connectGui(ui)
        finally:
            del parameters.AddObserver

    def close(self) -> None:
        """Disconnect the widgets; Slicer 5.10 leaves its observer of the node behind."""
        self._parameters.disconnectGui(self._tag)
        for tag in self._observers:  # VTK ignores those that are gone
            self._parameters.RemoveObserver(tag)
        self._observers.clear()
