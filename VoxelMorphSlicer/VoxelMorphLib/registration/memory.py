"""Memory: results of stages that came before, for the next registration of the same pair."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Generic, TypeVar

import numpy as np

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """Values by the contents of everything that they depend on; the least recently used one goes first.

    Args:
        capacity: values that are kept; 0 keeps none.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def recall(self, find: Callable[[], Value], *inputs: object) -> Value:
        """What `find` returned for equal `inputs` before, else what it returns now.

        Args:
            find: makes the value, which nobody may change.
            inputs: images, transforms and plain values that decide about it.
        """
        if not self.capacity:
            return find()
        key = fingerprint(*inputs)
        if key not in self._values:
            while len(self._values) >= self.capacity:  # first, so that the old value's memory serves the new one
                self._values.popitem(last=False)
            self._values[key] = find()
        self._values.move_to_end(key)
        return self._values[key]

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()


def fingerprint(*values: object) -> bytes:
    """Digest of plain values, arrays, and dataclasses of them (images, geometries, transforms), names left out."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        _add(digest, value)
    return digest.digest()


def _add(digest: hashlib.blake2b, value: object) -> None:
    if is_dataclass(value):
        _add_text(digest, type(value).__name__)
        parts = [getattr(value, field.name) for field in fields(value) if field.name != "name"]
        value = tuple(parts)
    if isinstance(value, tuple):
        digest.update(b"(%d" % len(value))
        for part in value:
            _add(digest, part)
    elif isinstance(value, np.ndarray):
        _add_text(digest, f"{value.dtype.str}{value.shape}")
        digest.update(np.ascontiguousarray(value))
    else:
        _add_text(digest, repr(value))


def _add_text(digest: hashlib.blake2b, text: str) -> None:
    """With its length, or 0.5 and 10 would be what 0.51 and 0 are."""
    digest.update(b"%d:" % len(text))
    digest.update(text.encode())
