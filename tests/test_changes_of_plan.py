"""End to end: calls that do not go as planned are planned again."""

from __future__ import annotations

import time
from functools import partial

import pytest

from smartpool import Report, machine, run_parallel
from smartpool._run import run
from tests.choices import spin, steps_for

WAITS = 40
WAIT_S = 0.02
COMPUTES = 1500
COMPUTE_S = 0.002
TRIES = 3  # the probe of a machine that is busy may take the function for mixed

pytestmark = pytest.mark.skipif(
    not machine().gil, reason="without a GIL threads compute side by side"
)


def waits_at_first(steps: int, x: int) -> int:
    """Wait, as long as the probe looks and a while longer; then compute."""
    if x < WAITS:
        time.sleep(WAIT_S)
        return x
    return x + 0 * spin(steps)


def report() -> Report:
    fn = partial(waits_at_first, steps_for(COMPUTE_S))
    items = range(WAITS + COMPUTES)
    results = run_parallel(fn, items)
    assert results == list(items)
    return results.report


def is_moved(report: Report) -> bool:
    return "not-as-planned" in [reason.rule for reason in report.reasons]


def test_calls_that_wait_no_more_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they wait and where they compute, they are at the right place."""
    # Also on a machine whose other programs leave little of a CPU to them.
    monkeypatch.setattr(run, "DOUBT_SHARE", 0.2)
    reports = [report()]
    while not is_moved(reports[-1]) and len(reports) < TRIES:
        reports.append(report())

    last = reports[-1]
    assert is_moved(last), reports
    assert last.on["threads"] >= WAITS // 2, last
    assert last.on["processes"] >= COMPUTES // 5, last
