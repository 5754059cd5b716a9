"""`call`: one call, placed where its function has been learnt to belong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from .._backends.base import Usage
from .._decide.calls import belongs_here, has_changed, plan_of_calls
from .._decide.facts import Profile, Workload
from .._decide.plan import Plan
from .._drive.request import check_function, pinned
from .._observe.functions import hint_of, is_async
from .._observe.gil import gil_enabled
from .._observe.learned import Learned, forget, recall, remember
from .._observe.machine import machine
from .._observe.meter import Meter
from .._observe.rebinding import rebinds
from .submitting import Owner, Submitting

KEPT: Final = 512
"""Functions whose place is kept, as many as are learnt of: then all is decided anew."""


class _Place:
    """What was decided for a function, and from what."""

    __slots__ = ("gil", "here", "known", "plan")

    def __init__(self, known: Learned | None, plan: Plan, *, gil: bool) -> None:
        self.known = known
        self.plan = plan
        self.gil = gil
        self.here = belongs_here(plan, None if known is None else known.profile)


class Calling:
    """Makes single calls for callers that wait for them.

    Args:
        owner: The pool.
        submitting: Makes the calls that are not made here.
    """

    def __init__(self, owner: Owner, submitting: Submitting) -> None:
        self._owner = owner
        self._submitting = submitting
        self._places: dict[tuple[int, int], _Place] = {}

    def call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:  # noqa: ANN401 - whatever fn returns
        """Call `fn` where it belongs, and return what it returns."""
        check_function(fn)
        self._owner.engine()  # raises if the pool is closed
        if self._is_settled(fn):
            return self._elsewhere(fn, args, kwargs, None)
        known = recall(fn)
        if known is None and hint_of(fn) is None:
            return self._measured(fn, args, kwargs)
        place = self._place(fn, known)
        if place.here:
            return self._here(fn, args, kwargs, place.plan)
        return self._elsewhere(fn, args, kwargs, place)

    def _is_settled(self, fn: Callable[..., Any]) -> bool:
        """Return whether there is nothing to decide: all goes where the pool calls."""
        setup = self._owner.setup
        asked = pinned.backend or setup.backend
        return asked is not None or setup.initializer is not None or is_async(fn)

    def _place(self, fn: Callable[..., Any], known: Learned | None) -> _Place:
        key = (id(known), hash(hint_of(fn)))
        place = self._places.get(key)
        if place is None or place.known is not known or place.gil != gil_enabled():
            if len(self._places) >= KEPT:
                self._places.clear()
            place = self._places[key] = self._decide(fn, known)
        return place

    def _decide(self, fn: Callable[..., Any], known: Learned | None) -> _Place:
        work = Workload(
            items=None,
            hint=hint_of(fn),
            max_workers=self._owner.setup.max_workers,
            unpicklable=None if known is None else known.unpicklable,
            rebinds=rebinds(fn),
            warm_workers=1,
        )
        host, profile = machine(), None if known is None else known.profile
        return _Place(known, plan_of_calls(host, work, profile), gil=host.gil)

    def _measured(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:  # noqa: ANN401
        """Call `fn` here, and learn from it, if it returns."""
        with Meter() as meter:
            result = fn(*args, **kwargs)
        self._learn(fn, meter.profile(1), None)
        return result

    def _learn(
        self, fn: Callable[..., Any], profile: Profile, unpicklable: str | None
    ) -> None:
        known = Learned(_UNPLANNED, profile, unpicklable)
        plan = self._decide(fn, known).plan
        remember(fn, Learned(plan, profile, unpicklable))

    def _here(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        plan: Plan,
    ) -> Any:  # noqa: ANN401
        """Call `fn` here, with an eye on whether it does what it did."""
        began_s, cpu_0_s = time.perf_counter(), time.thread_time()
        result = fn(*args, **kwargs)
        cpu_s = time.thread_time() - cpu_0_s
        wall_s = time.perf_counter() - began_s
        if has_changed(plan, here=True, wall_s=wall_s, cpu_s=cpu_s):
            forget(fn)
        return result

    def _elsewhere(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        place: _Place | None,
    ) -> Any:  # noqa: ANN401
        """Have it called in a worker, and wait; here, if its arguments cannot leave."""
        observe = place is not None and place.plan.kind == "unknown"

        def took(usage: Usage) -> None:
            self._took(fn, usage, place)

        submit = self._submitting.submit
        (future,) = submit(fn, [(args, kwargs)], took, observe=observe)
        if future.stayed and place is not None:
            self._stays(fn, place, str(future.exception()))
            return fn(*args, **kwargs)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupt: nobody waits for it any more
            raise

    def _stays(self, fn: Callable[..., Any], place: _Place, why: str) -> None:
        """Learn that a function cannot leave, if its calls were learnt of before."""
        if place.known is not None:
            self._learn(fn, place.known.profile, why)

    def _took(self, fn: Callable[..., Any], usage: Usage, place: _Place | None) -> None:
        """Take in what a call in a worker took. By the engine."""
        if place is None or not usage.calls:
            return
        if usage.profile is not None:
            self._learn(fn, usage.profile, None)
        elif has_changed(
            place.plan, here=False, wall_s=usage.wall_s, cpu_s=usage.cpu_s
        ):
            forget(fn)


_UNPLANNED: Final = Plan("serial", 1, 1, 1, "unknown", None, ())
