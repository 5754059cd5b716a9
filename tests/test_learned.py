"""Unit: what is kept of functions, and what a sample item shows before."""

import functools
import os
import pickle
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smartpool._backends._processes import payloads
from smartpool._backends.base import Job
from smartpool._decide.facts import Profile
from smartpool._decide.plan import Plan, Reason
from smartpool._drive import deciding
from smartpool._drive.deciding import Deciding
from smartpool._drive.record import Record
from smartpool._drive.request import Options, Request
from smartpool._observe import learned as store
from smartpool._observe.learned import Learned, forget_all, learned, recall, remember
from smartpool._run.source import Source
from tests.recorded import TWO_CPUS

PLAN = Plan(
    backend="processes",
    workers=2,
    concurrency=2,
    grow_to=2,
    kind="cpu",
    chunksize=None,
    reasons=(Reason("works", "it works"),),
)
KNOWN = Learned(PLAN, Profile(calls=3, wall_s=0.1))


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """Begin and end with an empty store."""
    forget_all()
    yield
    forget_all()


def square(x: int) -> int:
    """Return the square."""
    return x * x


def made(number: int) -> Callable[[], int]:
    """Return a function unlike any other."""
    space: dict[str, Any] = {}
    exec(f"def fn{number}(): return {number}", space)
    made: Callable[[], int] = space[f"fn{number}"]
    return made


def test_what_is_remembered_is_recalled() -> None:
    """The record comes back as it was, under the public name too."""
    assert recall(square) is None
    remember(square, KNOWN)
    assert recall(square) is KNOWN
    assert learned(square) is KNOWN
    assert learned(abs) is None


def test_the_record_speaks_of_its_plan() -> None:
    """Kind, backend and reasons are the plan's."""
    assert KNOWN.kind == "cpu"
    assert KNOWN.backend == "processes"
    assert KNOWN.reasons == PLAN.reasons
    assert KNOWN.unpicklable is None


def test_a_partial_shares_with_its_function() -> None:
    """Bound arguments make no other function."""
    remember(functools.partial(square, 2), KNOWN)
    assert recall(square) is KNOWN


def test_the_newest_record_counts() -> None:
    """Remembering again replaces."""
    newer = Learned(PLAN, Profile(calls=9, wall_s=0.2), unpicklable="a lock")
    remember(square, KNOWN)
    remember(square, newer)
    assert recall(square) is newer


def test_it_is_bounded_and_keeps_what_is_used() -> None:
    """The functions used longest ago make room."""
    functions = [made(number) for number in range(store._MOST + 10)]
    remember(square, KNOWN)
    for fn in functions:
        remember(fn, KNOWN)
        assert recall(square) is KNOWN
    assert len(store._known) == store._MOST
    assert recall(functions[0]) is None
    assert recall(functions[-1]) is KNOWN


@pytest.mark.parametrize("wrong", [3, None, "square", [len]], ids=repr)
def test_only_callables_are_learnt(wrong: Any) -> None:
    """What cannot be called is refused, with its value."""
    with pytest.raises(TypeError, match="fn must be callable, not "):
        learned(wrong)


def test_threads_at_once() -> None:
    """Threads that remember, recall and forget at once get records or nothing."""
    functions = [made(number) for number in range(store._MOST + 40)]
    begin = threading.Barrier(4, timeout=30)
    wrong: list[object] = []

    def work(turn: int) -> None:
        begin.wait()
        try:
            for fn in functions[:: 1 if turn % 2 else -1]:
                remember(fn, KNOWN)
                if recall(fn) not in (KNOWN, None):
                    wrong.append(fn)
            if turn == 0:
                forget_all()
        except BaseException as exc:
            wrong.append(exc)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert len(store._known) <= store._MOST + 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_goes_on() -> None:
    """A child knows what was learnt before, and can learn itself."""
    remember(square, KNOWN)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        remember(made(1), KNOWN)
        os._exit(0 if recall(square) == KNOWN else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- what cannot travel --------------------------------------------------------------


class Anywhere:
    """Stands for an engine, and its backend of processes: what travels is pickled."""

    cpus, travels = 2, True

    def warm_workers(self) -> int:
        return 2

    def backend(self, _: str) -> Any:
        return self

    def prepare(self, job: Job) -> None:
        job.function = payloads.prepare(job)


class Refuses:
    """Raises an error when it is pickled that raises an error when it is shown."""

    def __reduce__(self) -> str:
        raise self.Odd

    class Odd(Exception):
        def __repr__(self) -> str:
            raise ValueError


WORKS = Profile(20, 1e-3, 9.9e-4, delay_s=0.0, late_s=8e-4)


def decided(fn: Callable[..., Any], args: Any, *results: Any) -> Plan:
    """Return the plan for a function that works, after one item and some results."""
    engine: Any = Anywhere()
    request = Request(fn, (range(2000),), Options(), is_async=False)
    asked = Deciding(engine, request, Source(request.iterables), Record())
    return asked.adopt(asked.decide(WORKS, (args, [*results])))


@pytest.mark.parametrize(
    ("args", "results", "why"),
    [
        (threading.Lock(), [1], r"the first item cannot be pickled: .*lock"),
        (1, [threading.Lock()], r"a result, of type lock, cannot be pickled: .*lock"),
        (1, [None, "", [iter, threading.Lock()]], r"a result, of type list, .*lock"),
        (Refuses(), [1], r"the first item cannot be pickled: Refuses\.Odd$"),
    ],
)
def test_what_cannot_travel_stays_and_is_remembered(
    args: Any, results: list[Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the sample shows is in the reason, and in what is learnt."""
    monkeypatch.setattr(deciding, "machine", lambda: TWO_CPUS)

    plan = decided(square, args, *results)

    assert (plan.rule, plan.backend) == ("stays-here", "serial")
    assert re.search(why, plan.reasons[0].text)
    known = learned(square)
    assert known is not None
    assert known.unpicklable is not None
    assert re.search(why, known.unpicklable)


def test_a_function_that_cannot_travel_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its sample does not matter then."""
    monkeypatch.setattr(deciding, "machine", lambda: TWO_CPUS)
    lock = threading.Lock()

    def locked(x: int) -> int:
        with lock:
            return x

    assert decided(locked, 1, 1).rule == "stays-here"
    known = learned(locked)
    assert known is not None
    assert "locked cannot be pickled" in str(known.unpicklable)


def test_what_cloudpickle_takes_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What plain pickle refuses may go by value: it is tried before anything stays."""
    monkeypatch.setattr(deciding, "machine", lambda: TWO_CPUS)

    assert decided(square, lambda: 1, lambda: 2, None).rule == "gil-held"
    known = learned(square)
    assert known is not None
    assert known.unpicklable is None


def test_what_is_plain_but_goes_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of `__main__` goes along by value: what it refers to has to go, too."""
    monkeypatch.setattr(deciding, "machine", lambda: TWO_CPUS)
    main: Any = sys.modules["__main__"]
    held = type("HeldByMain", (), {"__module__": "__main__", "lock": threading.Lock()})
    monkeypatch.setattr(main, "HeldByMain", held, raising=False)

    assert pickle.loads(pickle.dumps(held())).lock is held.lock  # type: ignore[attr-defined]
    assert decided(square, held(), 1).rule == "stays-here"
