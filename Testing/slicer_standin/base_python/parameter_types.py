"""How the types of a parameter node are checked and stored, as far as our modules use slicer.parameterNodeWrapper."""

from __future__ import annotations

import enum
import typing

import slicer

_NONE = type(None)


class Default:
    """Annotation: the value of a parameter that was never set."""

    def __init__(self, value=None):
        self.value = value


class WithinRange:
    """Annotation: minimum and maximum, both allowed."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value) -> None:
        """ValueError outside of the range."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Minimum(WithinRange):
    """Annotation: the least value allowed."""

    def __init__(self, minimum):
        super().__init__(minimum, float("inf"))


class Maximum(WithinRange):
    """Annotation: the greatest value allowed."""

    def __init__(self, maximum):
        super().__init__(float("-inf"), maximum)


class Choice:
    """Annotation: the values allowed."""

    def __init__(self, choices):
        self.choices = choices

    def validate(self, value) -> None:
        """ValueError for any other value."""
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be in one of the following: {self.choices}")


class Parameter:
    """One typed parameter of a parameter node.

    Args:
        name: under which the node stores it.
        annotated: its type, perhaps `typing.Annotated`.
    """

    def __init__(self, name: str, annotated):
        self.name, self.annotated = name, annotated
        is_annotated = typing.get_origin(annotated) is typing.Annotated
        self.annotations = annotated.__metadata__ if is_annotated else ()
        self.type = typing.get_args(annotated)[0] if is_annotated else annotated
        self.storage = _storage(self.type)
        defaults = [item.value for item in self.annotations if isinstance(item, Default)]
        self.default = defaults[0] if defaults else self.storage.initial

    def annotation(self, kind: type):
        """The annotation of that class, or None."""
        return next((item for item in self.annotations if isinstance(item, kind)), None)

    def read(self, node):
        """The value in the node; the default is written first where there is none."""
        if not self.storage.is_in(node, self.name):
            self.write(node, self.default)
        return self.storage.read(node, self.name)

    def write(self, node, value) -> None:
        """Store a value; TypeError or ValueError for one that does not fit."""
        self.storage.check(value)
        for item in self.annotations:
            getattr(item, "validate", lambda _value: None)(value)
        self.storage.write(node, self.name, value)


class _Plain:
    """Numbers, texts, truth values: stored as their text."""

    def __init__(self, kind: type):
        self.kind, self.initial = kind, kind()

    def is_in(self, node, name: str) -> bool:
        return node.HasParameter(name)

    def check(self, value) -> None:
        allowed = (int, float) if self.kind is float else self.kind
        if value is None:
            raise ValueError("Value must not be None")
        if not isinstance(value, allowed):
            raise TypeError(f"Value must be of type '{allowed}', is type '{type(value)}' value '{value}'")

    def read(self, node, name: str):
        text = node.GetParameter(name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node, name: str, value) -> None:
        node.SetParameter(name, str(value))


class _Enumeration(_Plain):
    """Stored as the name of the member."""

    def __init__(self, kind: type[enum.Enum]):
        self.kind, self.initial = kind, next(iter(kind))

    def read(self, node, name: str):
        return self.kind[node.GetParameter(name)]

    def write(self, node, name: str, value) -> None:
        node.SetParameter(name, value.name)


class _Node:
    """A reference to one node of the scene, or None; a parameter of the same name tells that it was set."""

    initial = None

    def __init__(self, kind: type):
        self.kinds = (kind,)

    def is_in(self, node, name: str) -> bool:
        return node.HasParameter(name)

    def check(self, value) -> None:
        if value is not None and not isinstance(value, self.kinds):
            raise TypeError(f"Value must be of type '{self.kinds}', is type '{type(value)}' value '{value}'")

    def read(self, node, name: str):
        return node.GetNodeReference(name)

    def write(self, node, name: str, value) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)


class _AnyNode:
    """A reference to a node of one of several classes; stored under the position of its class in the union."""

    initial = None

    def __init__(self, members: tuple[type, ...]):
        self._members = members
        self.kinds = tuple(item for item in members if item is not _NONE)

    def _names(self, name: str) -> list[str]:
        return [f"{name}.{index}" for index in range(len(self._members))]

    def is_in(self, node, name: str) -> bool:
        return any(node.HasParameter(item) for item in self._names(name))

    def check(self, value) -> None:
        if not isinstance(value, self._members):
            raise TypeError(f"Unable to write value '{value}' of type '{type(value)}'")

    def read(self, node, name: str):
        return node.GetNodeReference(next(item for item in self._names(name) if node.HasParameter(item)))

    def write(self, node, name: str, value) -> None:
        with slicer.util.NodeModify(node):
            for item in self._names(name):
                node.UnsetParameter(item)
                node.RemoveNodeReferenceIDs(item)
            position = next(index for index, kind in enumerate(self._members) if isinstance(value, kind))
            _Node(self._members[position]).write(node, f"{name}.{position}", value)


def _storage(kind):
    if kind in (int, float, str, bool):
        return _Plain(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _Enumeration(kind)
    if _is_node(kind):
        return _Node(kind)
    members = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else ()
    if members and all(item is _NONE or _is_node(item) for item in members):
        return _AnyNode(members)
    raise TypeError(f"Unable to create serializer for type: {kind}")


def _is_node(kind) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)
