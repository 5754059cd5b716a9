"""Jobs for single calls. What nothing is bound to is made ready once, not each time.

To pickle a function, to look up its code and to tell a worker of it takes longer than
the rest of a call. A plain function that travels by its name is the same each time,
as long as its code is and the program's surroundings are.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from .._backends.base import Backend, Job
from .._observe.budget import set_budget

KEPT: Final = 32
"""Functions that are kept ready. A guess: a program submits few different ones."""

_NAMED: Final = (FunctionType, BuiltinFunctionType)


@dataclass(slots=True)
class _Ready:
    """A job that may serve again, and what has to be as it was then."""

    job: Job
    backend: Backend
    state: tuple[object, ...]


class Jobs:
    """Makes jobs, for any thread. Races make a job twice, and do no other harm.

    Args:
        forget: Called with a job that will not serve again.
    """

    def __init__(self, forget: Callable[[Backend, Job], None]) -> None:
        self._forget = forget
        self._ready: OrderedDict[int, _Ready] = OrderedDict()

    def make(
        self, fn: Callable[..., Any], backend: Backend, cpus: int, *, is_async: bool
    ) -> tuple[Job, bool]:
        """Return a job that calls `fn`, made ready for `backend`.

        Args:
            fn: What to call.
            backend: Where.
            cpus: CPUs that a call may use.
            is_async: Whether its calls must be awaited.

        Returns:
            The job, and whether it serves other calls, too.

        Raises:
            NotPicklableError: If it has to travel, and cannot.
        """
        if not backend.travels:
            context = copy_context()
            set_budget(context, cpus)
            job = Job(fn, is_async, stop_on_error=False, context=context, cpus=cpus)
            backend.prepare(job)
            return job, False
        state = _state(fn, backend, cpus) if type(fn) in _NAMED else None
        ready = None if state is None else self._ready.get(id(fn))
        if ready is not None and ready.state == state:
            return ready.job, True
        job = Job(fn, is_async, stop_on_error=False, cpus=cpus)
        backend.prepare(job)
        if state is None or not job.function.by_name:
            return job, False
        self._keep(fn, _Ready(job, backend, state))
        return job, True

    def _keep(self, fn: Callable[..., Any], ready: _Ready) -> None:
        before = self._ready.pop(id(fn), None)
        self._ready[id(fn)] = ready  # its job keeps `fn`, and so the number is its own
        if before is None and len(self._ready) > KEPT:
            _, before = self._ready.popitem(last=False)
        if before is not None:
            self._forget(before.backend, before.job)


def _state(fn: Any, backend: Backend, cpus: int) -> tuple[object, ...]:  # noqa: ANN401
    """Return what a job depends on beyond its function's name."""
    code = getattr(fn, "__code__", None)
    defaults = getattr(fn, "__defaults__", None), getattr(fn, "__kwdefaults__", None)
    return backend, cpus, code, *map(id, defaults), _cwd(), tuple(sys.path)


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return ""
