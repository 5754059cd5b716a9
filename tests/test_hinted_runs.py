"""End to end: what hints, and what is learnt, do to a run. Read from the plan."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smartpool import (
    cpu_bound,
    io_bound,
    learned,
    machine,
    nogil,
    run_parallel,
    stream_parallel,
)
from tests import workloads
from tests.choices import pure, steps_for


def waits(_: int) -> bool:
    """Wait for a moment, whatever the hint says."""
    return threading.Event().wait(0.005)


WHERE = {"io": "threads", "nogil": "threads", "cpu": "processes"}


@pytest.mark.parametrize("hint", ["cpu", "io", "nogil"])
def test_a_hint_fixes_the_kind(hint: Any) -> None:
    """Also against what was measured, on every way in."""
    report = run_parallel(waits, range(400), hint=hint).report
    with stream_parallel(waits, range(400), hint=hint) as stream:
        next(stream)
        streamed = stream.report.plan

    gil = machine().gil
    kind = "nogil" if hint == "cpu" and not gil else hint
    for plan in (report.plan, streamed):
        assert plan.kind == kind, report
        assert plan.backend == (WHERE[hint] if gil else "threads"), report
    if hint == "io":
        assert report.plan.grow_to > machine().cpus
    else:
        assert report.plan.workers <= machine().cpus


@pytest.mark.parametrize(
    ("mark", "kind"), [(cpu_bound, "cpu"), (io_bound, "io"), (nogil, "nogil")]
)
def test_the_calls_hint_is_before_the_decorators(
    mark: Callable[[Callable[[int], None]], Callable[[int], None]], kind: str
) -> None:
    """The nearer word counts."""

    @mark
    def marked(_: int) -> None:
        threading.Event().wait(0.002)

    assert run_parallel(marked, range(100), hint="io").report.plan.kind == "io"
    assert run_parallel(marked, range(100), hint="nogil").report.plan.kind == "nogil"
    plan = run_parallel(marked, range(100)).report.plan
    assert plan.kind == ("nogil" if kind == "cpu" and not machine().gil else kind)


def test_a_hint_on_an_async_def_is_not_ignored_without_a_word() -> None:
    """This one changes nothing: the report says so, whoever gave it."""

    @nogil
    async def marked(x: int) -> int:
        return x

    results = run_parallel(workloads.same_async, [1, 2], hint="nogil")
    assert results == [1, 2]
    assert "hint='nogil' changes nothing" in results.report.explain()
    assert results.report.reasons[0].facts == {"hint": "nogil"}
    with stream_parallel(marked, [1, 2]) as stream:
        next(stream)
        assert "hint='nogil' changes nothing" in stream.report.explain()
    assert "hint" not in run_parallel(workloads.same_async, [1]).report.explain()


def computed(path: str, steps: int, x: int) -> int:
    """Compute, and leave a line that says for which item."""
    workloads.append(path, x)
    return x + 0 * pure(steps, x)


@pytest.mark.measures
def test_each_item_of_a_run_that_leaves_is_called_once(tmp_path: Path) -> None:
    """Unaided: those of the probe here, the others elsewhere."""
    path = str(tmp_path / "calls")

    results = run_parallel(partial(computed, path, steps_for(0.001)), range(600))

    # Where it leaves to is seen by the table of right choices.
    assert set(results.report.on) > {"serial"}, results.report.explain()
    assert results == list(range(600))
    assert sorted(map(int, workloads.lines(path))) == list(range(600))


def test_a_run_is_learnt() -> None:
    """What its plan was made from can be looked at afterwards."""

    def fresh(_: int) -> None:
        threading.Event().wait(0.003)

    assert learned(fresh) is None
    report = run_parallel(fresh, range(100), hint="io").report

    known = learned(fresh)
    assert known is not None
    assert known.plan.kind == report.plan.kind == "io"
    assert known.profile.wall_s >= 0.003
