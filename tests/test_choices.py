"""End to end: the right choice without any hint, read from the plan.

Each row of the table, with the function that it names and with random ones of its kind
from fixed seeds; on a quiet machine, beside a program that keeps a CPU busy, and beside
a thread of this program that computes. Misses are printed, with the reasons given.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from random import Random

import pytest

from smartpool import Report, machine, run_parallel, stream_parallel
from tests.choices import ROWS, Case, Row, spin

pytestmark = pytest.mark.measures

PATIENCE_S = 5.0
"""How long a run may take to know what it calls: a worker may have to be asked."""

RANDOM_ONES = 20
RIGHT_LEAST = 19
"""Of the random ones, on a quiet machine."""


def report_of(case: Case) -> Report:
    """Run `case` until its plan is made, and return the report."""
    until = time.monotonic() + PATIENCE_S
    with stream_parallel(case.fn, case.items, ordered=False) as stream:
        for _ in stream:
            asked = stream.report.plan.rule in ("ask-a-worker", "cannot-tell")
            if not asked or time.monotonic() > until:
                break
        return stream.report


def misses(row: Row, cases: list[Case]) -> list[str]:
    """Return what was planned wrongly, and why."""
    gil, found = machine().gil, list[str]()
    for case in cases:
        report = report_of(case)
        if not row.right(report.plan, gil):
            plan = report.plan
            found.append(f"{row.name}, {case.name}: {plan.workers} {report.explain()}")
    return found


def cases_of(row: Row, count: int) -> list[Case]:
    """Return the case that the table names, and `count` random ones."""
    return [row.named(), *(row.random(Random(seed)) for seed in range(count))]


@pytest.fixture(params=list(ROWS.values()), ids=list(ROWS))
def row(request: pytest.FixtureRequest) -> Row:
    """Each row of the table."""
    found = request.param
    assert isinstance(found, Row)
    if found.name == "arrays" and find_spec("numpy") is None:
        pytest.skip("NumPy has no wheel for this interpreter")
    return found


@contextmanager
def busy_program() -> Iterator[None]:
    """Keep one CPU busy with another program."""
    program = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        program.kill()
        program.wait()


@contextmanager
def busy_thread() -> Iterator[None]:
    """Keep a thread of this program computing."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            spin(1000)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_the_right_choice(row: Row, capsys: pytest.CaptureFixture[str]) -> None:
    """The named function is planned rightly, and so are the random ones of its kind."""
    named, *others = cases_of(row, RANDOM_ONES)

    wrong = misses(row, others)
    with capsys.disabled():
        for miss in wrong:
            print(f"\n  missed: {miss}")

    assert misses(row, [named]) == []
    assert len(wrong) <= RANDOM_ONES - RIGHT_LEAST, "\n".join(wrong)


def test_the_right_choice_beside_a_busy_program(row: Row) -> None:
    """Another program that keeps a CPU busy changes nothing."""
    with busy_program():
        assert misses(row, [row.named()]) == []


def test_the_right_choice_beside_a_busy_thread(row: Row) -> None:
    """A thread of this program that computes changes nothing."""
    with busy_thread():
        assert misses(row, [row.named()]) == []


def test_many_waits_at_once() -> None:
    """600 items that sleep go on side by side, a hundred and more of them at once."""
    results = run_parallel(ROWS["sleep"].named().fn, range(600))

    assert results.report.backend == "threads"
    assert results.report.concurrency >= 100
