"""Unit: the rules on recorded facts, and what holds of every plan."""

from collections import Counter
from math import isnan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._decide.costs import worth_moving
from smartpool._decide.facts import BACKENDS, Machine, Profile, Workload
from smartpool._decide.making import MIXED_MOST
from smartpool._decide.plan import duration
from smartpool._decide.rules import RULES, make_plan
from tests.recorded import TWO_CPUS, Case, recorded_cases
from tests.strategies import WHY, machines, profiles, workloads
from tests.thresholds import unfounded

ROOT = Path(__file__).parent.parent
DECIDING = ROOT / "smartpool" / "_decide"
MODULES = sorted(path.relative_to(DECIDING) for path in DECIDING.rglob("*.py"))
CASES = recorded_cases()
NAMES = [rule.name for rule in RULES]

facts = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
any_facts = given(machines(), workloads(), st.none() | profiles())


@facts
def test_recorded_facts_lead_to_the_right_plan(case: Case) -> None:
    """What was measured once leads to what is right for it."""
    plan = case.plan()
    expected = dict(case.expect)
    says = expected.pop("says", "")

    assert {name: getattr(plan, name) for name in expected} == expected, plan
    assert says in plan.reasons[0].text


def test_no_two_cases_have_one_name() -> None:
    """A case can be found by its name."""
    assert [name for name, n in Counter(c.name for c in CASES).items() if n > 1] == []


def test_every_rule_is_reached_by_a_recorded_case() -> None:
    """No rule is there for nothing, and none is untested."""
    assert sorted({case.plan().rule for case in CASES}) == sorted(NAMES)


def test_every_rule_has_words_and_a_name_of_its_own() -> None:
    """The documentation's table is made of them."""
    assert len(set(NAMES)) == len(NAMES)
    assert all(rule.when and rule.plan for rule in RULES)


@any_facts
def test_any_facts_give_a_plan_that_names_a_rule(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """Odd facts keep no plan from being made; its reason has a text and numbers."""
    plan = make_plan(machine, workload, profile)

    assert plan.rule in NAMES
    reason = plan.reasons[0]
    assert all(each.text for each in plan.reasons)
    numbers = [v for v in reason.facts.values() if isinstance(v, float)]
    assert not any(isnan(number) for number in numbers)
    assert "nan" not in reason.text


@any_facts
def test_a_plan_is_a_function_of_its_facts(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """Equal facts make equal plans, and the one that is made is the first that fits."""
    plan = make_plan(machine, workload, profile)
    again = None if profile is None else profile._replace()

    assert plan == make_plan(machine._replace(), workload._replace(), again)


@any_facts
def test_a_plan_stays_within_its_bounds(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """Workers and calls at once keep to the user's bound, to the items, to files."""
    plan = make_plan(machine, workload, profile)

    assert 1 <= plan.workers <= plan.concurrency or plan.backend == "event_loop"
    assert 1 <= plan.concurrency <= plan.grow_to
    if workload.max_workers is not None:
        assert plan.grow_to <= workload.max_workers
    if workload.items is not None:
        assert plan.workers <= max(1, workload.items)
        assert plan.grow_to <= max(1, workload.items)
    if plan.grow_to > plan.concurrency and machine.max_open_files is not None:
        assert plan.grow_to <= max(1, machine.max_open_files // 2)
    assert plan.chunksize == workload.chunksize


@any_facts
def test_each_backend_has_its_shape(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """Serial work has one worker; the event loop has one, and is for `async def`."""
    plan = make_plan(machine, workload, profile)

    if plan.backend == "serial":
        assert (plan.workers, plan.concurrency, plan.grow_to) == (1, 1, 1)
    if plan.backend == "event_loop":
        assert plan.workers == 1
    if workload.backend is None:
        assert (plan.kind == "async") == workload.is_async
    if plan.backend == "event_loop":
        assert workload.is_async or workload.backend == "event_loop"
    assert plan.side_by_side is None or plan.backend == "processes"


@any_facts
def test_a_pinned_backend_is_kept(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """Whatever else is known, what the user asked for is what is planned."""
    for backend in BACKENDS:
        pinned = workload._replace(backend=backend)
        assert make_plan(machine, pinned, profile).backend == backend


@any_facts
def test_what_cannot_leave_is_not_sent(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """Only a pinned backend sends what does not pickle, or to where nothing can be."""
    free = workload._replace(backend=None)
    stuck = [
        (machine._replace(processes=False), free, profile),
        (machine, free._replace(unpicklable=WHY), profile),
        (machine, free._replace(rebinds="counter", hint=None), profile),
    ]
    if profile is not None:
        stuck.append((machine, free, profile._replace(unpicklable=WHY)))

    assert {make_plan(*facts).backend for facts in stuck}.isdisjoint({"processes"})


@any_facts
def test_without_a_gil_nothing_needs_processes(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """Where the GIL is off, threads do what processes would do, but for being ended."""
    free = machine._replace(gil=False)
    alone = workload._replace(backend=None, isolated=None, is_async=False)
    plan = make_plan(free, alone, profile)

    assert plan.backend != "processes"


@given(machines(), workloads(), st.none() | profiles(), st.integers(1, 256))
def test_more_cpus_are_never_fewer_processes(
    machine: Machine, workload: Workload, profile: Profile | None, more: int
) -> None:
    """A larger machine uses at least as many worker processes for the same work."""
    machine = machine._replace(gil=True, processes=True)
    workload = workload._replace(is_async=False, unpicklable=None, rebinds=None)
    if profile is not None:
        profile = profile._replace(unpicklable=None)
    small = make_plan(machine, workload, profile)
    larger = machine._replace(cpus=machine.cpus + more)
    large = make_plan(larger, workload, profile)

    if small.backend == "processes":
        assert large.backend == "processes"
        assert large.workers >= small.workers


@any_facts
def test_more_items_never_lead_back_to_serial(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """What is worth spreading stays so when there is more of it."""
    items = 7 if workload.items is None else workload.items
    small = make_plan(machine, workload._replace(items=items), profile)
    large = make_plan(machine, workload._replace(items=2 * items), profile)

    assert small.backend == "serial" or large.backend != "serial"


@any_facts
def test_what_is_isolated_is_never_called_on_the_callers_thread(
    machine: Machine, workload: Workload, profile: Profile | None
) -> None:
    """Only a pinned backend is serial then; what is not kept is in the reason."""
    alone = workload._replace(backend=None, isolated="crash_retries=1", ends_calls=True)
    plan = make_plan(machine, alone, profile)

    if alone.items != 0:
        assert plan.backend != "serial"
        kept = plan.backend == "processes"
        assert kept != ("a crash is the program's" in plan.reasons[0].text)


def test_one_busy_thread_does_not_change_what_waits() -> None:
    """A function that waits is seen to wait, whatever share others compute."""
    waiting = Profile(calls=1, wall_s=0.02, cpu_s=3e-5, late_s=0.018)
    for others in (0.0, 0.2, 0.5, 0.8, 1.0):
        profile = waiting._replace(others_share=others)
        assert make_plan(TWO_CPUS, Workload(600), profile).rule == "waits"


@pytest.mark.parametrize("share", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_a_busy_program_asks_a_worker(share: float) -> None:
    """While other threads compute, what the probe saw of the GIL decides nothing."""
    for late_s in (0.0, 0.5e-3, 1.9e-3):
        profile = Profile(9, 2e-3, 1e-3, late_s=late_s, others_share=share)
        plan = make_plan(TWO_CPUS, Workload(2000), profile)
        assert plan.rule == "ask-a-worker"


@pytest.mark.parametrize(
    ("items", "contended", "moves"),
    [
        (99, False, False),  # half a second of computing is left, nearly
        (100, False, True),
        (None, False, True),  # it may go on for ever
        (1, True, True),  # threads in each other's way: each item is dear
    ],
)
def test_what_is_nearly_done_is_not_moved(
    items: int | None, contended: bool, moves: bool
) -> None:
    """Calls that do not go as planned are planned again while enough is left."""
    profile = Profile(1, 5e-3, 5e-3, contended=contended)

    assert worth_moving(Workload(items), profile) is moves


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ns"),
        (1e-9, "1 ns"),
        (6.84e-8, "68.4 ns"),
        (9.994e-7, "999 ns"),
        (9.996e-7, "1 us"),
        (2.5e-5, "25 us"),
        (0.00123456, "1.23 ms"),
        (0.99949, "999 ms"),
        (0.9996, "1 s"),
        (12.345, "12.3 s"),
        (86400, "86400 s"),
        (1e9, "1000000000 s"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    """Three digits and the unit that fits; no exponents."""
    assert duration(seconds) == text


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_threshold_says_where_it_comes_from(module: Path) -> None:
    """A number names a benchmark that there is, or a source, or says it is a guess."""
    source = (DECIDING / module).read_text("utf-8")

    assert unfounded(source, ROOT) == []


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        ("A: Final = 3", "A: from nowhere"),
        ("A: Final[float] = -3e-6\nB = 2", "A: from nowhere"),
        ("A: Final = 2 ** 3\n'''Some number.'''", "A: from nowhere"),
        ("A: Final = 4 << 20\n'''A fine guesswork.'''", "A: from nowhere"),
        (
            "A: Final = 3\n'''As in benchmarks/nowhere.py.'''",
            "A: there is no benchmarks/nowhere.py",
        ),
    ],
)
def test_a_planted_threshold_is_seen(source: str, breach: str) -> None:
    """The check above sees a number without a text, or with one that proves nothing."""
    assert unfounded(source, ROOT) == [breach]


@pytest.mark.parametrize(
    "source",
    [
        "A: Final = 3\n'''A guess.'''".replace("A guess", "It is a guess"),
        "A: Final = 3\n'''The number that aiohttp has.'''",
        "A: Final = 'text'",
        "A: Final = (1, 2, fn())",
        "A = 3",
    ],
)
def test_founded_thresholds_pass(source: str) -> None:
    """What says where it comes from is not reported, nor what is no number."""
    assert unfounded(source, ROOT) == []


@pytest.mark.parametrize(
    ("cpus", "native", "rule", "workers"),
    [
        (2, 0.9, "one-by-one", 1),
        (2, 0.1, "gil-released", 2),
        (16, 0.9, "gil-released", 8),
        (16, 15.0, "one-by-one", 1),
    ],
)
def test_a_call_that_computes_on_several_cpus(
    cpus: int, native: float, rule: str, workers: int
) -> None:
    """As many at once as there is room for: a library's threads count."""
    host = TWO_CPUS._replace(cpus=cpus)
    profile = Profile(10, 0.004, 0.004, late_s=0.0, native_share=native)

    plan = make_plan(host, Workload(items=200), profile)

    assert (plan.rule, plan.workers) == (rule, workers)


def test_short_items_do_not_hand_the_gil_over() -> None:
    """What lets go of the GIL for some microseconds is called here."""
    short, long = (Profile(9, s, s, late_s=0.0) for s in (2e-5, 2e-3))

    assert make_plan(TWO_CPUS, Workload(items=400), short).rule == "too-little"
    assert make_plan(TWO_CPUS, Workload(items=400), long).rule == "gil-released"


def test_modules_that_a_worker_has_to_import_count() -> None:
    """Where it would take longer to start than there is work, it is not started."""
    profile = Profile(9, 0.001, 0.001, late_s=0.001)
    plans = [
        make_plan(TWO_CPUS, Workload(items=400, modules=modules), profile).rule
        for modules in (0, 100)
    ]

    assert plans == ["gil-held", "dear-travel"]


def test_earlier_runs_pay_for_the_start_of_workers() -> None:
    """What is too little for one run is not for many that follow one another."""
    profile = Profile(9, 0.001, 0.001, late_s=0.001)
    plans = [
        make_plan(TWO_CPUS, Workload(items=60, earlier_runs=runs), profile).rule
        for runs in (0, 20)
    ]

    assert plans == ["dear-travel", "gil-held"]


STARTS_A_PROGRAM = Profile(
    30,
    0.0006,
    0.0001,
    delay_s=0.0,
    late_s=0.0004,
    late_beats=1.0,
    heart_slept_s=0.0001,
)


def test_few_items_start_few_workers() -> None:
    """More of them than CPUs have to gain what their start takes."""
    few, many = (
        make_plan(TWO_CPUS, Workload(items=items), STARTS_A_PROGRAM)
        for items in (300, 20_000)
    )

    assert (few.rule, many.rule) == ("mixed", "mixed")
    assert TWO_CPUS.cpus <= few.workers < many.workers <= TWO_CPUS.cpus * MIXED_MOST


def test_what_holds_the_gil_while_it_waits_takes_turns_on_threads() -> None:
    """As the start of a program does: threads would come no further than one."""
    starts = STARTS_A_PROGRAM
    waits = starts._replace(late_s=0.0001, late_beats=0.1)

    for profile, rule in ((starts, "mixed"), (waits, "dear-travel")):
        plan = make_plan(TWO_CPUS, Workload(items=2000), profile)
        assert plan.rule == rule, plan


@pytest.mark.parametrize("cpu_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("held", [0.0, 1.0])
def test_items_too_short_to_be_handed_over(cpu_share: float, held: float) -> None:
    """Some hundred of them are called here, whatever they do."""
    cpu_s = 1.1e-5 * cpu_share
    profile = Profile(90, 1.1e-5, cpu_s, delay_s=0.0, late_s=held * cpu_s)

    assert make_plan(TWO_CPUS, Workload(items=400), profile).rule == "too-little"
