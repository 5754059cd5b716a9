"""Run Python work in parallel, where it runs fastest, with one call.

>>> from smartpool import run_parallel
>>> run_parallel(len, ["a", "bb"])
[1, 2]

General layout: `_decide` makes plans and touches nothing; `_observe` reads the world;
`_backends` are the places where items are called, `_worker` is what runs inside a
worker process; `_run` carries plans out; `_drive` is a run seen from its caller;
`_api` and `_pool` are what users call. Names are imported when they are first used, so
that a program that only might run something in parallel does not pay for it.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # `typing` would cost each worker 3 ms and more
if TYPE_CHECKING:
    from ._api import call, run_parallel, stream_parallel
    from ._crash import WorkerCrashError
    from ._decide.facts import Machine, Profile
    from ._decide.plan import Plan, Reason
    from ._drive.stream import Stream
    from ._errors import (
        ItemTimeoutError,
        NotPicklableError,
        PoolClosedError,
        RunTimeoutError,
        SmartPoolError,
        SmartPoolWarning,
        completed,
    )
    from ._hints import cpu_bound, io_bound, nogil
    from ._observe.learned import Learned, learned
    from ._observe.machine import machine
    from ._report.report import Report, Results
    from ._smartpool import SmartPool

__all__ = (
    "ItemTimeoutError",
    "Learned",
    "Machine",
    "NotPicklableError",
    "Plan",
    "PoolClosedError",
    "Profile",
    "Reason",
    "Report",
    "Results",
    "RunTimeoutError",
    "SmartPool",
    "SmartPoolError",
    "SmartPoolWarning",
    "Stream",
    "WorkerCrashError",
    "call",
    "completed",
    "cpu_bound",
    "io_bound",
    "learned",
    "machine",
    "nogil",
    "run_parallel",
    "stream_parallel",
)

__version__ = "0.1.0"

_HOMES = {
    "ItemTimeoutError": "_errors",
    "Learned": "_observe.learned",
    "Machine": "_decide.facts",
    "NotPicklableError": "_errors",
    "Plan": "_decide.plan",
    "PoolClosedError": "_errors",
    "Profile": "_decide.facts",
    "Reason": "_decide.plan",
    "Report": "_report.report",
    "Results": "_report.report",
    "RunTimeoutError": "_errors",
    "SmartPool": "_smartpool",
    "SmartPoolError": "_errors",
    "SmartPoolWarning": "_errors",
    "Stream": "_drive.stream",
    "WorkerCrashError": "_crash",
    "call": "_api",
    "completed": "_errors",
    "cpu_bound": "_hints",
    "io_bound": "_hints",
    "learned": "_observe.learned",
    "machine": "_observe.machine",
    "nogil": "_hints",
    "run_parallel": "_api",
    "stream_parallel": "_api",
}


def __getattr__(name: str) -> object:
    """Import a public name's module when the name is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted({*globals(), *__all__})
