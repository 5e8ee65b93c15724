"""Stands for the batch command: registers nothing, writes one row, and stops when its standard input ends.

Started as `python fake_batch.py OUTCOME ...`; the test's arguments of the command follow.
"""

from __future__ import annotations

import sys
from pathlib import Path

HEADER = "row,id,status,sentence,dice_before,dice_after,seconds"
ROW = "1,one,failed,It is missing.,,,"


def command(outcome: str) -> list[str]:
    """What to start instead of the batch command: "waits" for the end of its input, or "crashes"."""
    return [sys.executable, __file__, outcome]


def main() -> int:
    given = dict(argument[2:].partition("=")[::2] for argument in sys.argv[2:])
    folder = Path(given["outputDir"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.csv").write_text(f"{HEADER}\n{ROW}\n")
    if sys.argv[1] == "crashes":
        return 1
    print("VoxelMorphBatch: Registering, 1 of 2 pairs\n<filter-progress>0.500</filter-progress>", flush=True)
    sys.stdin.read()
    print("Stopped after 1 of 2 pairs, which are kept.", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(main())
