"""StartCache: affine starts found before, for the next registration of the same pair."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass

import numpy as np

from ..core.transform import AffineTransform


class StartCache:
    """Starts by the contents of everything that they depend on; the least recently used one goes first.

    Who registers a pair again, by another model or with more smoothness, does not wait for its start again.

    Args:
        capacity: starts that are kept.
    """

    def __init__(self, capacity: int = 16):
        self.capacity = capacity
        self._starts: OrderedDict[bytes, AffineTransform] = OrderedDict()

    def start(self, find: Callable[[], AffineTransform], *inputs: object) -> AffineTransform:
        """What `find` returned for equal `inputs` before, else what it returns now.

        Args:
            find: makes the start.
            inputs: images, transforms and plain values that decide about it.
        """
        key = fingerprint(*inputs)
        if key not in self._starts:
            start = find()
            while len(self._starts) >= self.capacity:
                self._starts.popitem(last=False)
            self._starts[key] = start
        self._starts.move_to_end(key)
        return self._starts[key]


def fingerprint(*values: object) -> bytes:
    """Digest of plain values, arrays, and dataclasses of them (images, geometries, transforms), names left out."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        _add(digest, value)
    return digest.digest()


def _add(digest: hashlib.blake2b, value: object) -> None:
    if is_dataclass(value):
        digest.update(type(value).__name__.encode())
        parts = [getattr(value, field.name) for field in fields(value) if field.name != "name"]
        value = tuple(parts)
    if isinstance(value, tuple):
        digest.update(b"(%d" % len(value))
        for part in value:
            _add(digest, part)
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value))
    else:
        digest.update(repr(value).encode())
