"""Classes of PySide6 that keep PythonQt's rules for attributes.

Sources: PythonQtInstanceWrapper.cpp, PythonQtClassInfo.cpp and PythonQtStdDecorators.cpp of PythonQt.
"""

from __future__ import annotations

import functools
import types

import shiboken6
from PySide6 import QtCore

from .signals import BoundSignal, argument_conversion, declared_name, overload
from .values import EnumType, is_enumeration, refused, to_property

#: Decorators that PythonQt adds to every QObject.
_DECORATORS = ("className", "connect", "disconnect", "delete")
_MISSING = object()
_classes: dict[type, type] = {}
_indices: dict[tuple[type, str], tuple[str, int]] = {}
#: Objects whose Python side must not be lost with its last reference.
_alive: list[QtCore.QObject] = []


class StrictMeta(type(QtCore.QObject)):
    """Makes `isinstance(x, qt.QWidget)` true for every widget, and hides scoped enumeration values."""

    def __instancecheck__(cls, instance) -> bool:
        twin = cls.__dict__.get("_twin")
        return isinstance(plain(instance), twin) if twin else type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, other) -> bool:
        twin = cls.__dict__.get("_twin")
        return issubclass(other, twin) if twin else type.__subclasscheck__(cls, other)

    def __getattribute__(cls, name):
        value = super().__getattribute__(name)
        return EnumType(value) if not name.startswith("_") and is_enumeration(value) else value


def strict(twin: type) -> type:
    """The strict class of a class of PySide6; always the same one."""
    if twin not in _classes:
        content = {"_twin": twin, "_is_cpp": True, "__module__": "qt", "__doc__": twin.__doc__}
        _classes[twin] = StrictMeta(twin.__name__, (Strict, twin), content)
    return _classes[twin]


def adopt(value):
    """Give an object that Qt itself made PythonQt's rules; anything else is returned as it is."""
    is_plain = isinstance(value, QtCore.QObject) and not isinstance(value, Strict)
    if not is_plain or getattr(value, "_is_inner", False):
        return value
    if not hasattr(value, "_adopted"):
        keep(value)._adopted = Adopted(value)
    return value._adopted


def plain(value):
    """What PySide6 can take for a value of module code."""
    return object.__getattribute__(value, "_item") if isinstance(value, Adopted) else value


def inner(part: QtCore.QObject) -> QtCore.QObject:
    """Mark a part inside of a stand-in: it stays an object of PySide6."""
    part._is_inner = True
    return keep(part)


def keep(item: QtCore.QObject) -> QtCore.QObject:
    """Keep the Python side of an object."""
    _alive.append(item)
    return item


def forget_deleted() -> None:
    """Let go of the Python side of what Qt has deleted."""
    _alive[:] = [item for item in _alive if shiboken6.isValid(item)]


def to_python(value):
    """What module code receives: strict objects, tuples for lists."""
    if isinstance(value, list):
        return tuple(to_python(item) for item in value)
    return adopt(value)


class BoundMethod:
    """A method or slot of C++: no keyword arguments, results converted."""

    def __init__(self, function):
        self.cpp_function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *arguments, **keywords):
        if keywords:
            raise TypeError(f"{self.__name__}: PythonQt methods take no keyword arguments ({', '.join(keywords)})")
        return to_python(self.cpp_function(*map(plain, arguments)))


class _Decorators:
    """Methods that PythonQt adds to every QObject."""

    def __bool__(self) -> bool:
        return shiboken6.isValid(plain(self))

    def className(self) -> str:
        """Name of the C++ class."""
        return QtCore.QObject.metaObject(plain(self)).className()

    def connect(self, signature: str, function) -> bool:
        """`connect("clicked(bool)", function)`; the signature is that of C++."""
        item, signature = plain(self), declared_name(plain(self), signature)
        name = signature.split("(")[0]
        signal = overload(item, raw_attribute(item, name), signature)
        return BoundSignal(item, name, signal, argument_conversion(signature, to_python)).connect(function)

    def disconnect(self, signature: str, function=None) -> bool:
        """Undo `connect`; without function, all connections of that signal."""
        name = declared_name(plain(self), signature).split("(")[0]
        return BoundSignal(plain(self), name, raw_attribute(plain(self), name), to_python).disconnect(function)

    def delete(self) -> None:
        """Delete the C++ object at once."""
        shiboken6.delete(plain(self))


class Strict(_Decorators):
    """Attribute access of PythonQt; stands before a class of PySide6 in the bases."""

    #: The class stands for one of C++; a Python class that derives from it may have attributes of its own.
    _is_cpp = True
    _is_made = False

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        if "_is_cpp" not in cls.__dict__:
            cls._is_cpp = False

    def __init__(self, *arguments, **keywords):
        if keywords:
            raise TypeError(f"{type(self).__name__}: PythonQt constructors take no keyword arguments ({[*keywords]})")
        super().__init__(*map(plain, arguments))
        self._is_made = True

    def __getattribute__(self, name):
        is_private = name.startswith("_") or name in _DECORATORS
        return object.__getattribute__(self, name) if is_private else _look_up(self, name)

    def __setattr__(self, name, value):
        if name.startswith("_"):
            super().__setattr__(name, value)
        elif not (_set_property(self, name, value) or _set_dynamic_property(self, name, value)):
            _set_own(self, name, value, None if type(self)._is_cpp else super().__setattr__)


class Adopted(_Decorators):
    """An object that Qt itself made, behind PythonQt's rules.

    Changing the class of such an object instead makes PySide6 lose track of its deletion.
    """

    def __init__(self, item: QtCore.QObject):
        object.__setattr__(self, "_item", item)

    def __getattribute__(self, name):
        is_private = name.startswith("_") or name in _DECORATORS
        return object.__getattribute__(self, name) if is_private else _look_up(self._item, name)

    def __setattr__(self, name, value):
        item = self._item
        if not (_set_property(item, name, value) or _set_dynamic_property(item, name, value)):
            _set_own(item, name, value, None)


def emit(item, name: str, *arguments) -> None:
    """Emit a signal from inside of a stand-in."""
    raw_attribute(item, name).emit(*arguments)


def raw_attribute(item, name: str):
    """What PySide6 has under that name; not through `object`, which breaks methods that are static too."""
    return super(Strict, item).__getattribute__(name) if isinstance(item, Strict) else getattr(item, name)


def _look_up(item, name: str):
    _check_alive(item, name)
    for look in (_own, _property, _member, _dynamic_property, _named_child):
        value = look(item, name)
        if value is not _MISSING:
            return value
    raise AttributeError(f"{type(item).__name__} has no attribute named '{name}'")


def _check_alive(item, name: str) -> None:
    """ValueError for what Qt has deleted; Qt asks for virtual methods already while it makes an object."""
    if not shiboken6.isValid(item) and not (isinstance(item, Strict) and not item._is_made):
        raise ValueError(f"Trying to use '{name}' of a destroyed {type(item).__name__} object")


def _property_index(item, name: str) -> tuple[str, int]:
    """Key and index of a property, -1 for none; all finished objects of a strict class have the same ones."""
    if not (isinstance(item, Strict) and object.__getattribute__(item, "_is_made")):
        return _found_index(item, name)
    known = (type(item), name)
    if known not in _indices:
        _indices[known] = _found_index(item, name)
    return _indices[known]


def _found_index(item, name: str) -> tuple[str, int]:
    """PythonQt knows the object name as `name` too, and QTimer.singleShot as a method."""
    meta = QtCore.QObject.metaObject(item)
    index = meta.indexOfProperty(name)
    if name == "name" and index < 0:
        return "objectName", meta.indexOfProperty("objectName")
    if name == "singleShot" and isinstance(item, QtCore.QTimer):
        return name, -1
    return name, index


def _own(item, name: str):
    """Attributes of a Python subclass come before everything of C++."""
    cls = type(item)
    if getattr(cls, "_is_cpp", True):
        return _MISSING
    attributes = object.__getattribute__(item, "__dict__")
    if name in attributes:
        return attributes[name]
    for base in cls.__mro__:
        if base.__dict__.get("_is_cpp"):
            return _MISSING
        if name in base.__dict__:
            return object.__getattribute__(item, name)
    return _MISSING


def _property(item, name: str):
    """The value of a property.

    Where a virtual method reads it, such as `sizeHint`, Qt asks meanwhile under the same name for an overriding method.
    """
    key, index = _property_index(item, name)
    if index < 0:
        return _MISSING
    being_read = object.__getattribute__(item, "__dict__").setdefault("_being_read", set())
    if name in being_read:
        return raw_attribute(item, name)
    being_read.add(name)
    try:
        return to_python(QtCore.QObject.property(item, key))
    finally:
        being_read.discard(name)


def _member(item, name: str):
    """Methods, signals, enumerations; of a stand-in only what it declares."""
    try:
        value = raw_attribute(item, name)
    except AttributeError:
        return _MISSING
    cls = type(item)
    if isinstance(value, types.MethodType) and hasattr(_pyside_class(cls), name):
        return value  # Qt looks up overridden virtual methods like this and needs them as they are.
    if not _is_visible(cls, name):
        return _MISSING
    if isinstance(value, QtCore.SignalInstance):
        return BoundSignal(item, name, value, to_python)
    if is_enumeration(value):
        return EnumType(value)
    if name in ("findChild", "findChildren"):
        return BoundMethod(_with_twin(value))
    if isinstance(value, (types.BuiltinFunctionType, types.MethodType, types.FunctionType)):
        return BoundMethod(value)
    return to_python(value)


@functools.cache
def _pyside_class(cls: type) -> type:
    return next(base for base in cls.__mro__ if base.__module__.startswith("PySide6"))


@functools.cache
def _is_visible(cls: type, name: str) -> bool:
    for base in cls.__mro__:
        if name in base.__dict__:
            visible = base.__dict__.get("_visible")
            return visible is None or name in visible
    return True


def _with_twin(find):
    """PySide6 finds children by their exact Python class, so the strict class is given as what it stands for."""
    return lambda cls, *rest: find(getattr(cls, "__dict__", {}).get("_twin") or cls, *rest)


def _dynamic_property(item, name: str):
    if name.encode() in [bytes(known.data()) for known in QtCore.QObject.dynamicPropertyNames(item)]:
        return to_python(QtCore.QObject.property(item, name))
    return _MISSING


def _named_child(item, name: str):
    children = QtCore.QObject.children(item)
    return next((adopt(child) for child in children if QtCore.QObject.objectName(child) == name), _MISSING)


def _set_property(item, name: str, value) -> bool:
    _check_alive(item, name)
    key, index = _property_index(item, name)
    if index < 0:
        return False
    declared = QtCore.QObject.metaObject(item).property(index)
    if not declared.isWritable():
        raise AttributeError(f"Property '{name}' of {type(item).__name__} object is not writable")
    converted = to_property(name, declared.typeName(), plain(value))
    if not QtCore.QObject.setProperty(item, key, converted):
        raise refused(name, declared.typeName(), value)
    return True


def _set_dynamic_property(item, name: str, value) -> bool:
    if _dynamic_property(item, name) is _MISSING:
        return False
    QtCore.QObject.setProperty(item, name, value)
    return True


def _set_own(item, name: str, value, store) -> None:
    if store:
        store(name, value)
    elif isinstance(value, QtCore.QObject) and QtCore.QObject.objectName(value) == name:
        return  # PySide6's loader of .ui files sets each child as an attribute of the root.
    elif hasattr(item, name):
        raise AttributeError(f"Slot or signal '{name}' cannot be overwritten on {type(item).__name__} object")
    else:
        raise AttributeError(
            f"'{name}' does not exist on {type(item).__name__}, and C++ objects take no new attributes"
        )
