"""What all commands share: strict arguments, progress that Slicer understands, and errors as exit codes."""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from .. import __version__
from ..core.errors import Cancelled, ConfigError, VoxelMorphError

#: Exit codes: all went well; the program failed; the user's input cannot be used; stopped by the user.
DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

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
            ConfigError: an option is unknown or lacks its value.
        """
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
        stage = text.split(",")[0]
        last_stage, last_fraction = self._last
        if stage == last_stage and fraction - last_fraction < 0.01:
            return
        self._last = (stage, fraction)
        try:
            if stage != last_stage:
                print(f"{self.name}: {stage}", flush=True)
            print(f"<filter-progress>{fraction:.3f}</filter-progress>", flush=True)
        except OSError as error:
            raise Cancelled("Stopped, because the program that started this command has ended.") from error


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
        command(sys.argv[1:] if argv is None else argv)
    except (KeyboardInterrupt, Cancelled) as stop:
        print(str(stop) or "Stopped. Nothing was written.", file=sys.stderr, flush=True)
        return INTERRUPTED
    except VoxelMorphError as error:
        print(f"Error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return BAD_INPUT
    except Exception:
        traceback.print_exc()
        print("Error: this is a fault of VoxelMorph; please report the lines above.", file=sys.stderr, flush=True)
        return FAILED
    return DONE


def _print_anything() -> None:
    """Let no character end a command: piped output on Windows knows few, and file names may have any."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # programs around this one may have put other streams in their place
            stream.reconfigure(errors="backslashreplace")
