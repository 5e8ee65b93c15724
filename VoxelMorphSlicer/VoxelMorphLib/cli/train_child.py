"""The train command as a child of another program: it saves and stops when its standard input ends.

That end comes when the program says so, and also when the program itself ends, in whatever way; it works alike on
systems without signals.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Sequence

from .train import main as train


def main(argv: Sequence[str] | None = None) -> int:
    """Run the train command; the end of standard input is its Ctrl-C."""
    if "LOCAL_RANK" not in os.environ:  # the first process ends the others
        threading.Thread(target=_interrupt_at_the_end, args=(_private_input(),), daemon=True).start()
    return train(argv)


def _private_input() -> int:
    """The standard input for this module alone.

    On Windows importing numpy would wait for whoever reads the standard input (numpy issue 24290).
    """
    stream, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return stream


def _interrupt_at_the_end(stream: int) -> None:
    while os.read(stream, 1024):  # not by Python's own buffer, which the end of the process would have to wait for
        pass
    _thread.interrupt_main()


if __name__ == "__main__":
    sys.exit(main())
