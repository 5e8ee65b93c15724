"""Child processes for what can only be measured in a fresh interpreter: import times and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_REPORT = """
import json, sys
from support.peak_memory import peak_bytes
report = {"seconds": seconds, "peak_bytes": peak_bytes(), "torch": "torch" in sys.modules}
print(json.dumps({**report, **globals().get("more", {})}))
"""


def run_child(code: str, arguments: Sequence[str] = (), threads: int = 1) -> dict[str, Any]:
    """Run Python code that leaves the variable `seconds`, and perhaps a dictionary `more` of other numbers.

    Args:
        code: statements; `sys.argv[1:]` are the arguments.
        arguments: texts.
        threads: of torch.

    Returns:
        seconds; peak_bytes, the largest resident memory; torch, whether torch was imported; and what is in `more`.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", code + _REPORT, *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"A benchmark's child process failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])
