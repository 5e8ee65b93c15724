"""Compare our registrations with other programs: `make bench-peers`, or `python -m benchmarks.peers --help`.

Results are added to the folder's results.json as they come; what is there already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..machine import describe_machine
from ..settings import Settings
from .execute import Result, Runner, measure_method
from .methods import METHODS, why_unavailable
from .pairs import GROUPS, find_pairs
from .table import LEGEND, details, failures, from_json, summary, versions


def main(argv: Sequence[str] | None = None) -> int:
    """Run every method on every pair, each in a process of its own, and write JSON and tables."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    python = shutil.which(arguments.peers_python)
    if python is None:
        parser.error(f"--peers-python {arguments.peers_python} is no program")
    settings = Settings()
    arguments.out.mkdir(parents=True, exist_ok=True)
    stored = arguments.out / "results.json"
    pairs = find_pairs(settings.data, arguments.out / "made", arguments.pairs)
    if not pairs:
        print(f"No pair of {settings.data} fits {arguments.pairs}; set VXM_DATA to the folder.", file=sys.stderr)
        return 1
    results = {} if arguments.again or not stored.is_file() else _read(stored)
    runner = Runner(
        str(Path(python).absolute()),
        arguments.threads,
        arguments.timeout,
        settings.weights.absolute() if settings.weights.is_dir() else None,
        not arguments.no_swap,
        arguments.keep,
    )
    absent = {
        name: reason for name in arguments.methods if (reason := why_unavailable(METHODS[name], runner.peers_python))
    }
    for name, reason in absent.items():
        print(f"{METHODS[name].title}: {reason}", file=sys.stderr, flush=True)
    for pair in pairs:
        for name in arguments.methods:
            known = results.get((name, pair.title))
            if name in absent or not METHODS[name].suits(pair.group) or (known is not None and not known.failure):
                continue
            print(f"{pair.title}: {METHODS[name].title} ...", file=sys.stderr, flush=True)
            results[name, pair.title] = measure_method(name, METHODS[name], pair, runner)
            _write(arguments.out, list(results.values()), absent, arguments.threads)
    _write(arguments.out, list(results.values()), absent, arguments.threads)
    print((arguments.out / "results.md").read_text(encoding="utf-8"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--peers-python", default=sys.executable, help="interpreter that has the other programs; default: this one"
    )
    parser.add_argument(
        "--pairs", nargs="+", default=[], metavar="PATTERN", help=f"{', '.join(GROUPS)}, or group/name, with * and ?"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="default: all")
    parser.add_argument("--threads", type=int, default=1, help="of each program")
    parser.add_argument("--timeout", type=float, default=Runner.timeout_s, help="seconds after which one is ended")
    parser.add_argument("--no-swap", action="store_true", help="leave out the way back of programs without an inverse")
    parser.add_argument("--again", action="store_true", help="measure anew what results.json has")
    parser.add_argument("--keep", type=Path, help="folder that keeps the transforms")
    parser.add_argument("--out", type=Path, default=Path("bench-output/peers"), help="folder of results.md and .json")
    return parser


def _read(stored: Path) -> dict[tuple[str, str], Result]:
    rows = map(from_json, json.loads(stored.read_text(encoding="utf-8"))["rows"])
    return {(row.method, f"{row.group}/{row.pair}"): row for row in rows}


def _write(folder: Path, results: list[Result], absent: dict[str, str], threads: int) -> None:
    """Tables and JSON, pairs and methods in their own order whatever was measured first."""
    groups, names = list(GROUPS), list(METHODS)
    results.sort(key=lambda row: (groups.index(row.group), row.pair, names.index(row.method)))
    machine = {**describe_machine(), "threads": str(threads)}
    facts = "\n".join(f"- {key}: {value}" for key, value in {**machine, **versions(results)}.items())
    titles = {name: method.title for name, method in METHODS.items()}
    missing = failures(results, titles, absent)
    parts = [facts, summary(results, titles), LEGEND, missing, details(results, titles)]
    (folder / "results.md").write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    text = json.dumps({"machine": machine, "absent": absent, "rows": [asdict(row) for row in results]}, indent=1)
    (folder / "results.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
