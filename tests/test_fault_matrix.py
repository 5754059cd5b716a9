"""Matrix: whatever goes wrong, wherever, by whichever way in: it costs one item.

Eight items; number 3 is the culprit. Where code of the user's runs in this program
(arguments are pickled, results are unpickled), what would end the program itself is
left out: it is the program's own end then.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smartpool import (
    ItemTimeoutError,
    NotPicklableError,
    RunTimeoutError,
    SmartPool,
    WorkerCrashError,
)
from smartpool._executor.future import CallFuture
from tests import faults
from tests.faults import CULPRIT, DEADLY, FAULTS, Fault, Stages

HANG_S = 60.0
ITEMS = 8
TIMEOUT_S = 0.5
"""For what stands still."""

HERE = ("argument pickle", "result unpickle")
OUTSIDE = ("between items", "idle", "starting")
STAGES = (
    "argument pickle",
    "argument unpickle",
    "call",
    "result pickle",
    "result unpickle",
    *OUTSIDE,
)
WAYS = ("run", "stream", "submit")
Cell = tuple[str, str, str]


def is_possible(stage: str, fault: str) -> bool:
    """Return whether there is such a cell."""
    if stage in HERE:
        return fault in ("raise", "SystemExit")
    if stage in ("between items", "idle"):
        # What a thread of the worker raises is nobody's; what stands still without a
        # call has no time that could be over.
        return fault in DEADLY
    return True


CELLS: list[Cell] = [
    (stage, fault, way)
    for stage, fault, way in itertools.product(STAGES, FAULTS, WAYS)
    if is_possible(stage, fault)
]
CORE = {
    *itertools.product(("call", "argument unpickle"), FAULTS, ("run",)),
    *itertools.product(STAGES, ("raise", "SIGKILL"), ("submit",)),
    *itertools.product(OUTSIDE, ("SIGKILL",), ("stream",)),
}
"""What is tested everywhere; the whole of it is heavy."""


def cells() -> Iterator[Any]:
    for cell in CELLS:
        marks = [] if cell in CORE else [pytest.mark.heavy]
        yield pytest.param(*cell, marks=marks, id="-".join(cell).replace(" ", "_"))


def outcomes_of(
    pool: SmartPool, stage: str, fault: str, way: str
) -> list[Any] | BaseException:
    """Call the items by that way in; return what became of each."""
    fn = partial(faults.call, stage, fault)
    items = [Stages.argument(stage, fault, index) for index in range(ITEMS)]
    if way == "submit":
        return submitted(pool, fn, items, stops=fault == "SIGSTOP")
    options: dict[str, Any] = {
        "return_exceptions": True,
        "chunksize": 4,
        "backend": "processes",
    }
    if fault == "SIGSTOP":
        key = "timeout" if stage == "starting" else "item_timeout"
        options[key] = TIMEOUT_S
    try:
        if way == "run":
            return list(pool.run_parallel(fn, items, **options))
        with pool.stream_parallel(fn, items, **options) as stream:
            return list(stream)
    except RunTimeoutError as exc:
        return exc


def submitted(pool: SmartPool, fn: Any, items: list[Any], *, stops: bool) -> list[Any]:
    """Submit the items; one that stands still is cancelled when its time is over."""
    patience_s = 5 * TIMEOUT_S if stops else HANG_S
    futures: list[CallFuture[Any]] = []
    outcomes: list[Any] = []
    for item in items:
        try:
            futures.append(pool.submit(fn, item))
        except WorkerCrashError as exc:  # an initializer has failed already
            outcomes.append(exc)
    for future in futures:
        try:
            outcomes.append(future.exception(patience_s) or future.result())
        except TimeoutError as exc:
            future.cancel()
            outcomes.append(exc)
    return outcomes


def expected(stage: str, fault: str, way: str) -> type[BaseException]:
    """Return what the culprit comes to."""
    if fault == "SIGSTOP":
        return TimeoutError if way == "submit" else ItemTimeoutError
    if fault in DEADLY:
        return WorkerCrashError
    if stage in ("argument pickle", "result pickle"):
        return NotPicklableError
    return Fault if fault == "raise" else SystemExit


@pytest.mark.parametrize(("stage", "fault", "way"), list(cells()))
def test_a_fault_costs_one_item(
    tmp_path: Path, stage: str, fault: str, way: str
) -> None:
    """The culprit alone; all else is there, nothing hangs, and the pool goes on."""
    options: dict[str, Any] = {}
    if stage == "starting":
        options["initializer"] = faults.initialize
        options["initargs"] = (str(tmp_path / "struck"), fault)
    with SmartPool(2, **options) as pool:
        outcomes = outcomes_of(pool, stage, fault, way)
        if stage == "starting":
            check_start(pool, fault, outcomes)
            return
        assert isinstance(outcomes, list)
        others = [one for n, one in enumerate(outcomes) if n != CULPRIT]
        if stage in OUTSIDE:
            check_outside(outcomes)
        else:
            assert others == [n for n in range(ITEMS) if n != CULPRIT]
            assert isinstance(outcomes[CULPRIT], expected(stage, fault, way))
        assert pool.submit(abs, -1).result(HANG_S) == 1
        assert pool.run_parallel(abs, [-2, -3], backend="processes") == [2, 3]


def check_outside(outcomes: list[Any]) -> None:
    """What strikes between two calls may meet the next one, and no other."""
    lost = [one for one in outcomes if isinstance(one, BaseException)]
    assert len(lost) <= 1
    assert all(isinstance(one, WorkerCrashError) for one in lost)
    kept = [one for one in outcomes if not isinstance(one, BaseException)]
    assert kept == [n for n in range(ITEMS) if n in kept]
    assert len(kept) + len(lost) == ITEMS


def check_start(
    pool: SmartPool, fault: str, outcomes: list[Any] | BaseException
) -> None:
    """A worker that dies is replaced; an initializer that raises breaks the pool."""
    if fault == "SIGSTOP":  # of one worker: the other calls all, or nobody does in time
        if isinstance(outcomes, list):
            assert set(outcomes) <= {*range(ITEMS)} or any(
                isinstance(one, TimeoutError) for one in outcomes
            )
        else:
            assert isinstance(outcomes, RunTimeoutError)
        pool.close()  # it would wait for the one that stands still
        return
    assert isinstance(outcomes, list)
    if fault in DEADLY:
        assert outcomes == list(range(ITEMS))
        return
    broken = [one for one in outcomes if isinstance(one, WorkerCrashError)]
    assert broken
    assert pool._broken
    cause = Fault if fault == "raise" else SystemExit
    assert isinstance(broken[0].__cause__, cause)
