"""End to end: what goes along to workers and back, beyond arguments and results."""

from __future__ import annotations

import decimal
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextvars import Context, copy_context
from pathlib import Path

import pytest

import smartpool
from smartpool import SmartPool, WorkerCrashError
from smartpool._backends._processes import surroundings
from smartpool._backends._processes.context import has_variables
from tests import talking, workloads

ROOT = Path(smartpool.__file__).parent.parent
HANG_S = 60.0


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmartPool]:
    monkeypatch.setattr(surroundings, "LOOK_S", 0.0)
    with SmartPool(2, backend="processes") as pool:
        yield pool


class Kept(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Have records of the loggers of these tests kept, with their levels."""
    logger, handler = logging.getLogger("talking"), Kept()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def run_script(code: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=HANG_S,
    )


# -- log records -------------------------------------------------------------------------


def test_records_come_once(pool: SmartPool, kept: Kept) -> None:
    """All that the levels let through, before the run returns, and nothing twice."""
    pool.run_parallel(talking.log, range(20))

    wanted = [f"info {n}" for n in range(20)] + [f"error {n}" for n in range(20)]
    assert sorted(kept.texts) == sorted(wanted)
    assert {record.process for record in kept.records}.isdisjoint({os.getpid()})


def test_records_of_a_stream_and_of_calls(pool: SmartPool, kept: Kept) -> None:
    """They are there when the result is."""
    with pool.stream_parallel(talking.log, range(3)) as stream:
        assert list(stream) == [0, 1, 2]
    assert len(kept.texts) == 6
    assert pool.submit(talking.log, 7).result(HANG_S) == 7
    assert kept.texts[6:] == ["info 7", "error 7"]


def test_levels_are_those_of_the_run(pool: SmartPool, kept: Kept) -> None:
    """What nobody wants does not travel; a warm worker hears of new levels."""
    assert pool.run_parallel(talking.is_enabled, ["talking"]) == [(False, True)]
    logging.getLogger("talking").setLevel(logging.DEBUG)
    assert pool.run_parallel(talking.is_enabled, ["talking"]) == [(True, True)]
    logging.getLogger("talking").setLevel(logging.CRITICAL)
    pool.run_parallel(talking.log, [1])
    assert kept.texts == []
    logging.getLogger("talking").setLevel(logging.INFO)
    logging.disable(logging.WARNING)
    try:
        pool.run_parallel(talking.log, [2])
    finally:
        logging.disable(logging.NOTSET)
    assert kept.texts == ["error 2"]
    pool.run_parallel(talking.log, [3])
    assert kept.texts == ["error 2", "info 3", "error 3"]


def test_a_logger_that_does_not_propagate(pool: SmartPool, kept: Kept) -> None:
    """Its own handlers get the record here, and no other."""
    apart, own = logging.getLogger("talking.apart"), Kept()
    apart.propagate = False
    apart.addHandler(own)
    try:
        pool.run_parallel(talking.log, [1])
    finally:
        apart.propagate = True
        apart.removeHandler(own)

    assert (own.texts, kept.texts) == (["error 1"], ["info 1"])


def test_records_that_cannot_be_pickled(pool: SmartPool, kept: Kept) -> None:
    """Their text is made in the worker; attributes that cannot travel stay there."""
    pool.run_parallel(talking.log_oddly, [1])

    first, second = kept.records
    assert "lock" in first.getMessage()
    assert (first.__dict__["n"], "lock" in first.__dict__) == (1, False)
    assert second.getMessage() == "caught"
    assert "ValueError: invalid literal" in (second.exc_text or "")


def test_the_last_words(pool: SmartPool, kept: Kept) -> None:
    """A record that was made before a crash is not lost."""
    outcomes = pool.run_parallel(talking.log_and_die, [1], return_exceptions=True)

    assert isinstance(outcomes[0], WorkerCrashError)
    assert kept.texts == ["the last words"]


def test_many_records_from_many_threads(pool: SmartPool, kept: Kept) -> None:
    """None is lost, and none is torn."""
    pool.run_parallel(talking.log_much, [2500] * 2)
    pool.run_parallel(talking.log_on_threads, [500])

    assert len(kept.texts) == 5000 + 2000


def test_a_handler_that_raises(
    pool: SmartPool, kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown, and no item pays for it."""

    class Wrong(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise LookupError("a handler's own")

    wrong = Wrong()
    logging.getLogger("talking").addHandler(wrong)
    try:
        assert pool.run_parallel(talking.log, [1, 2]) == [1, 2]
    finally:
        logging.getLogger("talking").removeHandler(wrong)
    assert "a handler's own" in capsys.readouterr().err


def test_a_program_that_does_not_log() -> None:
    """Where nobody has set up a handler, workers do not even import it."""
    done = run_script(
        "from smartpool import run_parallel\n"
        "from tests.talking import is_loaded\n"
        "print(run_parallel(is_loaded, ['logging'] * 2, backend='processes'))\n"
    )
    assert done.stdout.split() == [b"[False,", b"False]"], done.stderr


# -- warnings ----------------------------------------------------------------------------


def test_warnings_are_issued_here(pool: SmartPool) -> None:
    """As if the call had been made here: category, text and place are the same."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pool.run_parallel(talking.warn, ["a", "b"])

    assert sorted(str(one.message) for one in caught) == ["a", "b"]
    assert {one.category for one in caught} == {UserWarning}
    assert {Path(one.filename).name for one in caught} == {"talking.py"}


def test_a_warning_that_is_an_error(pool: SmartPool) -> None:
    """It is raised in the call, as it would be here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="of an item"):
            pool.run_parallel(talking.warn, ["of an item"])


def test_warnings_that_nobody_wants(pool: SmartPool) -> None:
    """They are ignored where they are made; and caught there, if the call does so."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        pool.run_parallel(talking.warn, ["a"])
        assert pool.run_parallel(talking.warn_and_catch, ["b"]) == [["b"]]
    assert caught == []


# -- context variables ---------------------------------------------------------------------


def test_context_variables(pool: SmartPool) -> None:
    """Those that a module has; each call has them as they were, and changes nothing."""

    def run() -> None:
        talking.variable.set({"request": 7})
        assert pool.run_parallel(talking.get, range(3)) == [{"request": 7}] * 3
        assert (
            pool.run_parallel(talking.set_and_get, [1, 2, 3], chunksize=3)
            == [{"request": 7}] * 3
        )
        assert talking.variable.get() == {"request": 7}
        assert pool.submit(talking.get).result(HANG_S) == {"request": 7}
        talking.variable.set("later")
        assert pool.submit(talking.get).result(HANG_S) == "later"

    copy_context().run(run)
    assert pool.run_parallel(talking.get, range(2)) == [None, None]


def test_context_variables_that_stay(pool: SmartPool) -> None:
    """They are counted in the report, and are in nobody's way."""

    def run() -> None:
        talking.variable.set(lambda: open(os.devnull))  # noqa: SIM115
        talking.variable.set(n for n in range(3))
        results = pool.run_parallel(talking.get, range(2))
        assert results == [None, None]
        reasons = {reason.rule: reason for reason in results.report.reasons}
        assert reasons["context"].facts["variables"] == 1, reasons["context"].text
        assert "talking" in reasons["context"].text

    copy_context().run(run)


def test_decimal(pool: SmartPool) -> None:
    """Its precision is the caller's, as on threads."""

    def third(_: int) -> str:
        return str(decimal.Decimal(1) / 3)

    def run() -> None:
        decimal.getcontext().prec = 5
        assert has_variables()
        assert pool.run_parallel(third, range(2)) == ["0.33333"] * 2

    copy_context().run(run)


def test_a_decimal_context_that_says_nothing() -> None:
    """It is there once it was asked for; as it was made, it need not go along."""

    def run() -> None:
        decimal.getcontext().flags[decimal.Inexact] = True
        assert [one.name for one in copy_context()] == ["decimal_context"]
        assert not has_variables()
        decimal.getcontext().traps[decimal.Inexact] = True
        assert has_variables()

    Context().run(run)


# -- environment, output ---------------------------------------------------------------------


def test_the_environment(pool: SmartPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of the start of each run, also for warm workers."""
    assert pool.run_parallel(talking.environment, ["SMARTPOOL_X"] * 2) == [None, None]
    monkeypatch.setenv("SMARTPOOL_X", "wärm")
    assert pool.run_parallel(talking.environment, ["SMARTPOOL_X"] * 2) == ["wärm"] * 2
    assert pool.submit(talking.environment, "SMARTPOOL_X").result(HANG_S) == "wärm"
    pool.run_parallel(talking.change_environment, ["SMARTPOOL_X"] * 4, chunksize=1)
    assert pool.run_parallel(talking.environment, ["SMARTPOOL_X"] * 2) == ["wärm"] * 2
    monkeypatch.delenv("SMARTPOOL_X")
    assert pool.run_parallel(talking.environment, ["SMARTPOOL_X"] * 2) == [None, None]


def test_thread_pools_stay_capped(
    pool: SmartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caps are set where the user has set none, whatever else changes."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cap = pool.run_parallel(talking.environment, ["OMP_NUM_THREADS"])[0]
    assert cap is not None
    monkeypatch.setenv("SMARTPOOL_X", "1")
    assert pool.run_parallel(talking.environment, ["OMP_NUM_THREADS"]) == [cap]
    monkeypatch.setenv("OMP_NUM_THREADS", "17")
    assert pool.run_parallel(talking.environment, ["OMP_NUM_THREADS"]) == ["17"]


def test_more_surroundings_than_are_kept(
    pool: SmartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ends forget the same ones."""
    for n in [*range(12), *range(12)]:
        monkeypatch.setenv("SMARTPOOL_X", str(n))
        assert pool.run_parallel(talking.environment, ["SMARTPOOL_X"]) == [str(n)]


def test_nothing_changes_nothing_is_made() -> None:
    """As long as all is as it was there is one record of it."""
    first = surroundings.current()
    assert surroundings.current() is first
    os.environ["SMARTPOOL_Y"] = "1"
    try:
        second = surroundings.current()
        assert second is not first
        assert surroundings.current() is second
    finally:
        del os.environ["SMARTPOOL_Y"]


def test_output_does_no_harm() -> None:
    """Not a megabyte of it, nor what is written past Python."""
    done = run_script(
        "from smartpool import run_parallel\n"
        "from tests import talking\n"
        "print(run_parallel(talking.shout, range(4), backend='processes'), flush=True)\n"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"x") == 4 << 20
    assert done.stdout.count(b"from below\n") == 4
    assert b"[0, 1, 2, 3]" in done.stdout
    assert done.stderr.count(b"to stderr") == 4


def test_workers_that_are_warm(pool: SmartPool, kept: Kept) -> None:
    """Records of a call that ended in an interrupt of its stream are no trouble."""
    with pool.stream_parallel(talking.log_much, [50] * 20, buffersize=4) as stream:
        assert next(stream) == 50
    count = len(kept.texts)
    assert count >= 50
    assert pool.run_parallel(talking.log, [1]) == [1]
    workloads.wait_until(lambda: kept.texts[-1] == "error 1")
