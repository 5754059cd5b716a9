"""Unit: what a report says, in golden files; and the sentence of every rule.

After a change of words, `SMARTPOOL_GOLDEN=write pytest tests/test_report.py` writes
the files anew; then read what git says has changed, as a user would.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool import NotPicklableError, run_parallel
from smartpool._backends.base import Job
from smartpool._decide.facts import Profile, Workload
from smartpool._decide.plan import Plan, Reason
from smartpool._decide.rules import RULES, make_plan
from smartpool._drive.record import Record
from smartpool._report.report import LINES_MOST, Report, Results
from smartpool._run.stats import Stats
from tests.recorded import TWO_CPUS, recorded_cases
from tests.strategies import machines, profiles, workloads
from tests.workloads import spin

GOLDEN = Path(__file__).parent / "golden"
WRITES = os.environ.get("SMARTPOOL_GOLDEN") == "write"

CASES = {case.name: case for case in recorded_cases()}


def check(name: str, text: str) -> None:
    """Compare `text` with a golden file, or write that."""
    path = GOLDEN / f"{name}.txt"
    if WRITES:
        path.write_text(text + "\n", "utf-8")
    assert text + "\n" == path.read_text("utf-8")


def report(
    case: str,
    *,
    items: int = 2000,
    on: dict[str, int] | None = None,
    at_once: int | None = None,
    wall_s: float = 1.08,
    loop_s: float = 2.04,
    reasons: tuple[Reason, ...] = (),
) -> Report:
    """Return the report of a run whose last plan is that of a recorded case."""
    plan = CASES[case].plan()
    on = {plan.backend: items} if on is None else on
    return Report(
        backend=max(on, key=lambda name: on[name]),
        workers=plan.workers,
        concurrency=at_once or plan.concurrency,
        plan=plan,
        reasons=(*reasons, *plan.reasons),
        items=sum(on.values()),
        on=on,
        wall_s=wall_s,
        loop_s=loop_s,
    )


REPORTS: dict[str, Callable[[], Report]] = {
    "processes": lambda: report(
        "pure Python, 1 ms", on={"serial": 97, "processes": 1903}
    ),
    "threads": lambda: report(
        "sleep, 20 ms",
        items=600,
        on={"serial": 2, "threads": 598},
        loop_s=12.1,
        wall_s=0.114,
    ),
    "serial": lambda: report("x * x", items=300_000, wall_s=0.0207, loop_s=0.0204),
    "event-loop": lambda: report(
        "async def that sleeps", items=5000, at_once=3200, wall_s=0.61, loop_s=101.0
    ),
    "one-item": lambda: report("one item is left", items=1, wall_s=0.30012, loop_s=0.3),
    "one-worker": lambda: report(
        "one item is left while another goes on",
        on={"serial": 1, "processes": 1},
        wall_s=0.31,
        loop_s=0.5,
    ),
    "no-items": lambda: report("no items", items=0, wall_s=4.1e-5, loop_s=0.0),
    "asked-a-worker": lambda: report(
        "SHA-256 in a worker, another program on one core",
        on={"serial": 11, "processes": 20, "threads": 369},
        reasons=CASES["SHA-256, another program on one core"].plan().reasons,
    ),
    "gil-came-back": lambda: report(
        "pure Python, 1 ms",
        on={"serial": 20, "threads": 180, "processes": 1800},
        reasons=(
            *CASES["pure Python, 1 ms, free-threaded"].plan().reasons,
            Reason("gil-changed", "the GIL is on now: an import switched it on"),
        ),
    ),
    "many-reasons": lambda: report(
        "pure Python, 1 ms",
        on={"serial": 20, "threads": 180, "processes": 1800},
        reasons=tuple(
            Reason("stays-here", f"some items were called here: item {i}\nis odd")
            for i in range(9)
        ),
    ),
    "long-reason": lambda: report(
        "pure Python, 1 ms",
        reasons=(Reason("stays-here", "it cannot be pickled: " + "[1, 2], " * 200),),
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_explains_a_run(name: str) -> None:
    """What was decided, why, with the numbers; to be read by whoever wonders."""
    found = REPORTS[name]()

    assert str(found) == found.explain()
    assert len(found.explain().splitlines()) <= LINES_MOST
    check(f"report-{name}", found.explain())


def test_every_sentence_is_read_by_somebody() -> None:
    """The reason of each recorded case, in one file, to be read as a user would."""
    plans = [(case, case.plan()) for case in CASES.values()]
    lines = [
        f"{case.name}\n    {plan.backend}, {plan.workers} of up to {plan.grow_to}:"
        f" {plan.reasons[0].text} ({plan.rule})"
        for case, plan in sorted(plans, key=lambda pair: _place(pair[1]))
    ]

    check("sentences", "\n".join(lines))


def _place(plan: Plan) -> int:
    return [rule.name for rule in RULES].index(plan.rule)


def test_no_golden_file_is_left_over() -> None:
    """Each file is compared with something."""
    names = {f"report-{name}" for name in REPORTS} | {"sentences"}

    assert {path.stem for path in GOLDEN.glob("*")} == names


@given(
    st.tuples(machines(), workloads(), st.none() | profiles()),
    st.lists(
        st.builds(Reason, st.text(max_size=20), st.text(max_size=900)), max_size=9
    ),
    st.dictionaries(
        st.sampled_from(["serial", "threads", "processes", "event_loop", "another"]),
        st.integers(0, 10**9),
    ),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
)
def test_whatever_comes_it_is_at_most_eight_lines(
    facts: tuple[object, object, object],
    reasons: list[Reason],
    on: dict[str, int],
    wall_s: float,
    loop_s: float,
) -> None:
    """Reasons may quote errors of any length, with line breaks in them."""
    plan = make_plan(*facts)  # type: ignore[arg-type]
    found = Report(
        backend=max(on, key=lambda name: on[name]) if on else plan.backend,
        workers=plan.workers,
        concurrency=plan.concurrency,
        plan=plan,
        reasons=(*reasons, *plan.reasons),
        items=sum(on.values()),
        on=on,
        wall_s=wall_s,
        loop_s=loop_s,
    )

    lines = found.explain().splitlines()

    assert 4 <= len(lines) <= LINES_MOST
    assert all(len(line) < 500 for line in lines)


def test_the_gil_is_explained_where_it_is_named() -> None:
    """Nobody has to know the word; who does not meet it is not told."""
    assert "GIL: " in REPORTS["processes"]().explain()
    assert "GIL" not in REPORTS["serial"]().explain()
    assert "GIL" not in REPORTS["threads"]().explain()


def test_speedup_is_over_the_estimated_loop() -> None:
    """Twice as fast is 2; a clock that stood still says nothing."""
    assert report("x * x", wall_s=1.0, loop_s=2.0).speedup == 2.0
    assert report("x * x", wall_s=0.0, loop_s=2.0).speedup == 1.0


# -- what is gathered ----------------------------------------------------------------


def gathered(record: Record, stats: Stats) -> Report:
    """Return the report of a run with these `stats`, none of it here."""
    nothing: Any = SimpleNamespace(calls=0, loop_s=0.0)
    run: Any = SimpleNamespace(stats=stats, job=Job(abs))
    return record.report(nothing, run)


def test_items_that_stayed_here_are_one_reason() -> None:
    """However many they are: their number, and the first one's cause."""
    record, plan = Record(), CASES["pure Python, 1 ms"].plan()
    record.plan_made(plan, None)
    record.kept_here(NotPicklableError("item 3 cannot be pickled"))
    one = gathered(record, Stats()).reasons[1]
    for number in range(4, 40):
        record.kept_here(NotPicklableError(f"item {number} cannot be pickled"))
    record.add(Reason("not-as-planned", "and so on"))
    record.kept_here(NotPicklableError("item 99 cannot be pickled"))

    found = gathered(record, Stats()).reasons

    assert one.text == "1 item was called here because item 3 cannot be pickled"
    text = "38 items were called here, the first because item 3 cannot be pickled"
    assert [reason.text for reason in found] == [
        plan.reasons[0].text,
        text,
        "and so on",
    ]
    assert found[1].facts == {"items": 38}


WAITS = Profile(2, 5e-3, 1e-4, delay_s=0.0, late_s=0.0)
WORKS = Profile(20, 1e-3, 9.9e-4, delay_s=0.0, late_s=8e-4)
DELAYED = Profile(20, 4e-3, 9.9e-4, delay_s=3e-3, late_s=8e-4)


@pytest.mark.parametrize(
    ("hint", "profile", "cpu_s", "at_once", "loop_s"),
    [
        ("nogil", WAITS, 0.01, 2, 1.0),
        ("cpu", WAITS, 0.01, 2, 1.0),
        ("cpu", WORKS, 0.25, 8, 0.25),
        (None, WORKS, 0.25, 8, 0.25),
        (None, DELAYED, 0.25, 2, 1.0),
        ("cpu", DELAYED, 0.25, 8, 0.25),
        ("nogil", None, 0.01, 2, 1.0),
        ("nogil", None, 0.5, 2, 0.5),
        ("cpu", None, 0.125, 8, 0.125),
        ("cpu", None, 0.0, 0, 1.0),
        ("io", WORKS, 0.25, 8, 1.0),
        (None, None, 0.9, 8, 1.0),
    ],
)
def test_the_loop_is_of_what_was_measured(
    hint: Any, profile: Profile | None, cpu_s: float, at_once: int, loop_s: float
) -> None:
    """A crowd makes calls slower that compute: but a hint does not make them compute."""
    record, stats = Record(), Stats()
    stats.busy_s, stats.cpu_s, stats.most_at_once = 1.0, cpu_s, at_once
    record.plan_made(make_plan(TWO_CPUS, Workload(200, hint=hint), profile), profile)

    assert gathered(record, stats).loop_s == loop_s


def test_the_loop_of_calls_that_wait_against_the_hint() -> None:
    """End to end: a plain loop would wait for each of them."""
    report = run_parallel(
        lambda _: threading.Event().wait(0.005), range(40), hint="nogil"
    ).report

    assert report.loop_s > 0.15


def test_the_loop_pulls_the_same_input() -> None:
    """End to end: a plain loop would wait for slow input, too."""
    report = run_parallel(abs, map(spin, [0.02] * 5)).report

    assert report.items == 5
    assert report.loop_s >= 0.1


def test_results_are_a_list() -> None:
    """They compare, slice and print as one; the report comes with them."""
    results = Results([1, 2])
    results.report = REPORTS["serial"]()

    assert results == [1, 2]
    assert repr(results) == "[1, 2]"
    assert results.report.items == 300_000
