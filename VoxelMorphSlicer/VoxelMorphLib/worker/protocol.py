"""What the application and its worker say to each other: lines of ASCII, each one JSON object with a type."""

from __future__ import annotations

import json
from typing import Any

from ..core import errors
from ..core.errors import DependencyError, VoxelMorphError, WorkerError

#: Raised when a message changes its meaning; both sides must have the same.
PROTOCOL = 2
#: A longer line is no message.
LONGEST_LINE = 1 << 20

Message = dict[str, Any]

_FAMILY = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, VoxelMorphError)
}


def encode(message: Message) -> bytes:
    """A message as one line."""
    return json.dumps(message).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """The message of one line.

    Raises:
        WorkerError: the line is no JSON object with a type.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _garbled(line) from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise _garbled(line)
    return message


def _garbled(line: bytes) -> WorkerError:
    shown = line[:80].decode("ascii", "backslashreplace").strip()
    return WorkerError(f"The worker process sent {shown!r}, which is no message, and was ended. Register again.")


def error_message(job: int, error: VoxelMorphError) -> Message:
    """An error as a message; `error_of` gives an equal error back."""
    return {
        "type": "error",
        "job": job,
        "class": type(error).__name__,
        "text": str(error),
        "restart_required": getattr(error, "restart_required", False),
        "details": getattr(error, "details", ""),
    }


def error_of(message: Message) -> VoxelMorphError:
    """The error that a message carries, of the class that it had."""
    kind = _FAMILY.get(message["class"], VoxelMorphError)
    if issubclass(kind, DependencyError):
        return kind(message["text"], message["restart_required"])
    if issubclass(kind, WorkerError):
        return kind(message["text"], message["details"])
    return kind(message["text"])
