"""The one family of errors that users see: every text says what is wrong, the values, and what to do."""

from __future__ import annotations


class VoxelMorphError(Exception):
    """Base of all errors caused by input or environment; interfaces show `str(error)` and no traceback."""


class GeometryError(VoxelMorphError, ValueError):
    """A grid or a transform is impossible or does not fit the others."""


class UnplacedFieldError(GeometryError):
    """A field of voxel displacements does not say where its grid lies; the fixed image that it was made with does."""


class ImageError(VoxelMorphError, ValueError):
    """An image file cannot be read or its content cannot be registered."""


class OutputError(VoxelMorphError, OSError):
    """A result cannot be written where the user asked for it."""


class AccessError(VoxelMorphError, OSError):
    """A file or folder may not be looked at, or there is no home folder to find it in."""


class WeightsError(VoxelMorphError, OSError):
    """A weights file is missing, damaged, foreign or unsafe."""


class ConfigError(VoxelMorphError, ValueError):
    """An option has an unknown name or an impossible value."""


class DependencyError(VoxelMorphError, ImportError):
    """A Python package that this action needs is not installed.

    Args:
        message: one sentence with the package and how to install it.
        restart_required: the application must be restarted before the package can be used.
    """

    def __init__(self, message: str, restart_required: bool = False):
        super().__init__(message)
        self.restart_required = restart_required


class TorchLoadError(DependencyError):
    """PyTorch is installed, but it or a library that it needs cannot be loaded."""


class DeviceError(VoxelMorphError, RuntimeError):
    """The chosen computation device is absent or its memory does not suffice."""


class MemoryShortError(DeviceError):
    """The memory of a device does not suffice for a job that allowed no weaker attempt; it may be tried with one."""


class TrainingError(VoxelMorphError, ArithmeticError):
    """A training cannot go on: its numbers went out of bounds, or another of its processes failed."""


class WorkerError(VoxelMorphError, RuntimeError):
    """The background process that registers could not be started, ended, hung or failed.

    Args:
        message: one sentence with what happened and what to do.
        details: the last lines that the process wrote, for a report to the developers.
    """

    def __init__(self, message: str, details: str = ""):
        super().__init__(message)
        self.details = details


class Cancelled(VoxelMorphError):
    """The user stopped the work. Nothing was written, unless a subclass or the stopped function says what was kept."""


class TrainingStopped(Cancelled):
    """A training was stopped after a step and saved: its last checkpoint holds everything, so it can be resumed."""
