"""Pairs: where the rows of a batch come from, one at a time, and their ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.io.pair_tables import id_digest
from .row import Row


@dataclass(frozen=True)
class Common:
    """What all rows of a batch share.

    Args:
        model: id or weights file; empty for the default.
        options: fields of `RegistrationOptions` that were given; those of a row come first.
    """

    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)


class Pairs:
    """Where the rows of a batch come from.

    Attributes:
        count: number of rows.
        is_bids: whether results are named as derivatives.
        sources: files and folders that must not be written to.
    """

    count: int
    is_bids = False
    sources: Sequence[Path] = ()

    def rows(self) -> Iterator[Row]:
        """The rows in their order; they are made while they are asked for."""
        raise NotImplementedError


def unused_id(name: str, content: str, taken: set[int]) -> tuple[str, str]:
    """A name as an id: with some letters that depend on the content where it is taken, and what is wrong with it.

    Args:
        name: made of names of files.
        content: what tells it from others of that name.
        taken: `id_digest` of all ids so far; the new one is added.
    """
    for candidate in (name, f"{name}-{hashlib.sha256(content.encode(errors='replace')).hexdigest()[:6]}"):
        if id_digest(candidate) not in taken:
            taken.add(id_digest(candidate))
            return candidate, ""
    return name, "This pair is in the table twice. Give both rows an id."
