"""Jobs for single calls. What nothing is bound to is made ready once, not each time.

To pickle a function, to look at its code and to tell a worker of it takes longer than
the rest of a call. A plain function that travels by its name is the same each time, as
long as its code is, and what surrounds the program.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from .._backends._processes.context import has_variables
from .._backends._processes.surroundings import current
from .._backends.base import Backend, Job
from .._observe.budget import set_budget

KEPT: Final = 32
"""Functions that are kept ready. A guess: a program submits few different ones."""


class Place:
    """Where calls of a function go, and a job that calls it there.

    Attributes:
        backend: Where.
        most: Calls at once there, at most.
        share: CPU that each takes.
        job: Made ready for the backend.
        shared: Whether it serves other calls, too.
    """

    __slots__ = ("_function", "_state", "backend", "job", "most", "share", "shared")

    def __init__(self, backend: Backend, job: Job, most: int, share: float) -> None:
        self.backend = backend
        self.most = most
        self.share = share
        self.job = job
        self.shared = False
        self._state: tuple[object, ...] = ()
        self._function: Any = None

    def keep(self) -> bool:
        """Note how things are now; return whether it may serve again."""
        fn = self.job.fn
        named = type(fn) in (FunctionType, BuiltinFunctionType)
        function = self.job.function
        if self.backend.travels and named and function.by_name:
            self._state = _code(fn)
            self._function = function
            self.shared = not (function.variables or function.stay)
        return self.shared

    def holds(self) -> bool:
        """Return whether all is still as it was."""
        return (
            self._state == _code(self.job.fn)
            and self._function.surroundings is current()
            and not has_variables()
        )


class Jobs:
    """Places that may serve again, for any thread. A race makes one twice, no more.

    Args:
        forget: Called with one that will not serve again.
    """

    def __init__(self, forget: Callable[[Place], None]) -> None:
        self._forget = forget
        self._kept: dict[int, Place] = {}

    def find(self, fn: Callable[..., Any]) -> Place | None:
        """Return the place that is kept for `fn`, if all is as it was."""
        place = self._kept.get(id(fn))
        return place if place is not None and place.holds() else None

    def keep(self, place: Place) -> None:
        """Keep a place for its function's next calls, if it may serve those."""
        if not place.keep():
            return
        number = id(place.job.fn)  # its own: the job keeps the function
        before = self._kept.pop(number, None)
        self._kept[number] = place
        if before is None and len(self._kept) > KEPT:
            with suppress(RuntimeError):  # another thread makes room just now
                before = self._kept.pop(next(iter(self._kept)), None)
        if before is not None:
            self._forget(before)

    def clear(self) -> None:
        """Forget all."""
        kept, self._kept = self._kept, {}
        for place in kept.values():
            self._forget(place)


def make_job(
    fn: Callable[..., Any], backend: Backend, cpus: int, *, is_async: bool
) -> Job:
    """Return a job that calls `fn`, made ready for `backend`.

    Args:
        fn: What to call.
        backend: Where.
        cpus: CPUs that a call may use.
        is_async: Whether its calls must be awaited.

    Raises:
        NotPicklableError: If it has to travel, and cannot.
    """
    context = None
    if not backend.travels:
        context = copy_context()
        set_budget(context, cpus)
    job = Job(fn, is_async=is_async, stop_on_error=False, context=context, cpus=cpus)
    backend.prepare(job)
    return job


def _code(fn: Any) -> tuple[object, ...]:  # noqa: ANN401
    """Return what a function's calls depend on, beyond its name: compared by identity."""
    if type(fn) is not FunctionType:
        return ()
    return fn.__code__, id(fn.__defaults__), id(fn.__kwdefaults__)
