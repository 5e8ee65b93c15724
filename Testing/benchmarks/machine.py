"""The machine in words: times mean nothing without it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

#: Processor flags that multiply matrices of bfloat16, best first.
_MATRIX_UNITS = ("amx_bf16", "avx512_bf16", "bf16")


def describe_machine() -> dict[str, str]:
    """Processor, its matrix units, cores, memory, GPUs, system and versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    described = {
        "processor": _processor(),
        "cores": str(cores),
        "bfloat16 units": next((unit for unit in _MATRIX_UNITS if unit in _flags()), "none found"),
        "memory": _memory(),
        "system": platform.platform(terse=True),
        "Python": platform.python_version(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        described["GPU"] = f"{', '.join(names)}, CUDA {torch.version.cuda}"
    return described


def _cpuinfo(key: str) -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _processor() -> str:
    model = _cpuinfo("model name") or platform.processor() or platform.machine()
    family = ", ".join(f"{key} {_cpuinfo('cpu ' + key) or _cpuinfo(key)}" for key in ("family", "model"))
    return f"{model} ({family})" if _cpuinfo("cpu family") else model


def _flags() -> list[str]:
    return (_cpuinfo("flags") or _cpuinfo("Features")).split()


def _memory() -> str:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
