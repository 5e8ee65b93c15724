"""What all commands share: strict arguments, progress that Slicer understands, and errors as exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from .. import __version__
from ..core.errors import AccessError, Cancelled, ConfigError, OutputError, VoxelMorphError
from ..core.memory import is_memory_full, is_memory_shortage
from .interrupts import Interrupts, current, listening
from .old_options import new_command

#: Exit codes: all went well; the program failed; the user's input cannot be used; stopped by the user.
DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

#: What moves the cursor, deletes or colours; line ends and tabs do not.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: What a system refuses because of the user's files, wherever in the program that shows.
_OF_THE_SYSTEM = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENAMETOOLONG)
_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?(,.*)?$")


class Parser(argparse.ArgumentParser):
    """Arguments in the form that Slicer's command line modules use; bad ones become one sentence."""

    def __init__(self, **options: object):
        super().__init__(allow_abbrev=False, **options)
        self.add_argument("--version", action="version", version=__version__)
        self.add_argument("--returnparameterfile", help=argparse.SUPPRESS)  # Slicer appends it to every command

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse; a negative number after an option is its value, which argparse alone refuses for "-1e-3" or "-1,2".

        Raises:
            ConfigError: an option is unknown, one of the original's scripts, or lacks its value.
        """
        translated = new_command(self.prog, argv, self._option_string_actions)
        if translated:
            raise ConfigError(translated)
        joined: list[str] = []
        for argument in argv:
            if _NUMBER.match(argument) and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
                joined[-1] += f"={argument}"
            else:
                joined.append(argument)
        return self.parse_args(joined)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. Run {self.prog} --help for the options.")


class ConsoleProgress:
    """Progress for a terminal (text) and for Slicer (`<filter-progress>` tags), one line at a time on stdout.

    Where nobody reads them any more it raises `Cancelled`, so that long work saves what it has.
    """

    def __init__(self, name: str):
        self.name, self._last = name, ("", -1.0)

    def __call__(self, fraction: float, text: str) -> None:
        current().check()
        stage = text.split(",")[0]
        last_stage, last_fraction = self._last
        if stage == last_stage and fraction - last_fraction < 0.01:
            return
        self._last = (stage, fraction)
        lines = [f"{self.name}: {stage}"] * (stage != last_stage)
        if not say(*lines, f"<filter-progress>{fraction:.3f}</filter-progress>"):
            raise Cancelled("Stopped, because the program that started this command has ended.")


def say(*lines: object) -> bool:
    """Print lines on the standard output at once.

    Returns:
        False where nobody reads them any more, as behind `| head`.

    Raises:
        OutputError: they cannot be written, to a full disk for example.
    """
    try:
        for line in lines:
            print(_printable(str(line)), flush=True)
    except OSError as error:
        _mute()
        if isinstance(error, BrokenPipeError) or error.errno in (errno.EPIPE, errno.EINVAL, errno.EIO):
            return False
        raise OutputError(
            f"What this command prints cannot be written ({error.strerror}). Free some space, or print elsewhere."
        ) from error
    return True


def run(command: Callable[[Sequence[str]], None], argv: Sequence[str] | None) -> int:
    """Run a command and turn errors into an exit code and one sentence on stderr.

    Args:
        command: does the work; raises on failure.
        argv: arguments without the program name; None takes the process's own.

    Returns:
        0 done, 2 the user's input cannot be used, 1 a fault of this program (with its traceback), 130 stopped.
    """
    _print_anything()
    try:
        with listening() as interrupts:
            return _outcome(command, sys.argv[1:] if argv is None else argv, interrupts)
    finally:
        _flush()


def _outcome(command: Callable[[Sequence[str]], None], argv: Sequence[str], interrupts: Interrupts) -> int:
    try:
        command(argv)
    except (KeyboardInterrupt, Cancelled) as stop:
        interrupts.settle()
        return _stopped(str(stop))
    except Exception as error:
        interrupts.settle()
        if interrupts.asked:  # whatever became of the exception on its way
            return _stopped("")
        return _refused(error)
    interrupts.settle()
    return _stopped("Stopped, but everything was already done.") if interrupts.asked else DONE


def _stopped(text: str) -> int:
    complain(text or "Stopped. Nothing was written.")
    return INTERRUPTED


def _refused(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM and error.filename:
        error = AccessError(f"{error.filename} cannot be used ({error.strerror}). Check its name and permissions.")
    if isinstance(error, VoxelMorphError):
        complain(f"Error: {' '.join(str(error).split())}")
        return BAD_INPUT
    if is_memory_shortage(error) or is_memory_full():
        complain(
            f"Error: The memory or the number of threads that this computer allows does not suffice "
            f"({_first_line(error)}). Crop or downsample the volumes, close other programs, or raise the limit."
        )
        return BAD_INPUT
    with suppress(OSError):
        traceback.print_exception(type(error), error, error.__traceback__)
    complain("Error: this is a fault of VoxelMorph; please report the lines above.")
    return FAILED


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")


def complain(text: str) -> None:
    """Print a line on the standard error, if anybody reads it."""
    with suppress(OSError):
        print(_printable(text), file=sys.stderr, flush=True)


def _printable(text: object) -> str:
    """The text with control characters escaped: file names may hold some that reprogram a terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(text))


def _flush() -> None:
    """Write what is left to write, or Python does so at its end, with a traceback where that fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _mute()


def _mute() -> None:
    """Let nothing come of further output, which Python keeps and would try to write at its end."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def _print_anything() -> None:
    """Let no character end a command: piped output on Windows knows few, and file names may have any."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # programs around this one may have put other streams in their place
            stream.reconfigure(errors="backslashreplace")
