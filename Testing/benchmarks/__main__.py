"""Run the benchmarks and print a Markdown table: `make bench`, or `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .batch import measure_batch
from .compare import measure_against_pypi
from .floor import measure_floor
from .gpu import measure_gpu
from .large import measure_large
from .machine import describe_machine
from .memory import measure_memory
from .poses import measure_poses
from .row import Row, markdown
from .settings import Settings
from .startup import measure_startup
from .synthmorph import measure_synthmorph
from .templates import measure_templates
from .training import measure_training
from .ui_gap import measure_ui_gap
from .warm_click import measure_warm_click

TOPICS = {
    "startup": measure_startup,
    "floor": measure_floor,
    "compare": measure_against_pypi,
    "memory": measure_memory,
    "large": measure_large,
    "synthmorph": measure_synthmorph,
    "gpu": measure_gpu,
    "warm": measure_warm_click,
    "ui": measure_ui_gap,
    "template": measure_templates,
    "training": measure_training,
    "poses": measure_poses,
    "batch": measure_batch,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the topics that were asked for, print the table and write it to a folder."""
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed and memory.")
    parser.add_argument("--topics", nargs="+", choices=TOPICS, default=list(TOPICS), help="default: all")
    parser.add_argument(
        "--shape", nargs=3, type=int, default=default.shape, metavar="N", help="voxels, multiples of 32"
    )
    parser.add_argument("--repeats", type=int, default=default.repeats, help="rounds; the median is reported")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="of floor and memory; compare and training take one"
    )
    parser.add_argument("--rows", type=int, default=default.rows, help="of batch, at least 10; README tells of 10000")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="folder of results.md and results.json")
    arguments = parser.parse_args(argv)
    if any(n < 32 or n % 32 for n in arguments.shape):
        parser.error(f"--shape {arguments.shape} needs multiples of 32")
    if arguments.rows < 10:
        parser.error(f"--rows {arguments.rows} is too few; memory is compared with a tenth of them")
    settings = dataclasses.replace(
        default,
        shape=tuple(arguments.shape),
        repeats=arguments.repeats,
        threads=arguments.threads,
        rows=arguments.rows,
    )
    rows: list[Row] = []
    for topic in arguments.topics:
        print(f"Measuring {topic} ...", file=sys.stderr, flush=True)
        rows += TOPICS[topic](settings)
    machine = describe_machine()
    text = "\n".join([*(f"- {key}: {value}" for key, value in machine.items()), "", markdown(rows), ""])
    print(text)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.md").write_text(text, encoding="utf-8")
    results = {"machine": machine, "shape": settings.shape, "rows": [dataclasses.asdict(row) for row in rows]}
    (arguments.out / "results.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
