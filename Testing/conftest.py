"""Hooks of every test run: one thread for small tensors, and the count of recorded reference cases that passed."""

from __future__ import annotations

import os

# Before torch: what tests compute is so small that threads which wait for each other take most of the time, on a busy
# machine ten times as much. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Slicer's background threads give the whole process the lowest priority on Linux unless told otherwise, and what it
# starts inherits that: beside other busy processes a child then takes a minute for what takes a second.
os.environ.setdefault("SLICER_BACKGROUND_THREAD_PRIORITY", "0")

import pytest
from support.conformance import PROPERTY, ReferenceCase, summary


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name the case in the report; user properties also travel from the workers of pytest-xdist."""
    case = getattr(item, "callspec", None) and item.callspec.params.get("case")
    if isinstance(case, ReferenceCase):
        item.user_properties.append((PROPERTY, case.key))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    outcomes = []
    for status, reports in terminalreporter.stats.items():
        if status:  # the empty status holds the setup and teardown of tests that are counted anyway
            for report in reports:
                keys = [value for name, value in getattr(report, "user_properties", ()) if name == PROPERTY]
                outcomes += [(key, status == "passed") for key in keys]
    for line in summary(outcomes):
        terminalreporter.write_line(line)
