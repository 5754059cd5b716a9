"""Unit: what a report says, in golden files; and the sentence of every rule.

After a change of words, `SMARTPOOL_GOLDEN=write pytest tests/test_report.py` writes
the files anew; then read what git says has changed, as a user would.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._decide.plan import Plan, Reason
from smartpool._decide.rules import RULES, make_plan
from smartpool._report.report import LINES_MOST, Report, Results
from tests.recorded import recorded_cases
from tests.strategies import machines, profiles, workloads

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


def test_results_are_a_list() -> None:
    """They compare, slice and print as one; the report comes with them."""
    results = Results([1, 2])
    results.report = REPORTS["serial"]()

    assert results == [1, 2]
    assert repr(results) == "[1, 2]"
    assert results.report.items == 300_000
