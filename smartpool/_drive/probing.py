"""The probe of a run: its first items, called here and measured meanwhile.

An item of it that goes on for long must not hold the others back. Then the meter's
thread takes the run over: it decides about the others from what the item has used so
far, and drives them in the caller's place until the item has ended.

The two never touch the run at once. Whoever has the *claim* may touch it: the caller
lets go of it only while it is inside `fn`, and the meter's thread, once it has it,
keeps it until the caller has joined that thread.
"""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable, Iterable
from itertools import islice
from math import inf
from typing import Any, Final

from .._decide import probing
from .._decide.costs import TINY_S
from .._decide.facts import Profile
from .._decide.probing import Seen
from .._observe.meter import READ_DELAY_FROM_S, Meter
from .._run.source import Flow
from .deciding import Sample
from .parts import Parts

SAMPLED_MOST: Final = 100
"""Results that are looked through for one of each type: a guess."""


class Probing:
    """One probe. Use it in a `with`: when that ends, the caller has the run again.

    Args:
        parts: The run.
        take_over: Called on the meter's thread with what the long item has used so
            far. Returns false if there is nothing to do meanwhile (and is asked again
            later), else true once it sees that `caller_back` is set.
        before: What earlier items showed, if a probe had to be broken off.

    Attributes:
        enough: Whether enough is known; otherwise another probe has to go on.
        values: What became of the items that were called, in their order.
        caller_back: The caller's item has ended, and it wants the run back.
    """

    def __init__(
        self,
        parts: Parts,
        take_over: Callable[[Profile], bool],
        *,
        before: Seen | None,
    ) -> None:
        self._parts = parts
        self._source = parts.source
        self._take_over = take_over
        # Items to call at most, since their results must be delivered before more
        # input is pulled.
        self._most = parts.ahead
        self._before = before
        self._claim = _thread.allocate_lock()
        self._claim.acquire()
        self._meter = Meter(self._on_long, probing.LONG_S)
        self._mine = True
        self._long_s = probing.LONG_S
        self._batch_s = self._busy_s = self._first_s = 0.0
        self._best_s, self._calls, self._flows = inf, 0, True
        self._first: Any = None
        self.values: list[Any] = []
        self.enough = True
        self.caller_back = False

    def call_first(self) -> None:
        """Call first items until enough is known, or until the run is taken over."""
        elements, count = self._source.block(1)
        for first in elements:
            self._first = first
        if count:
            self._call(iter([self._first]))

    def _call(self, elements: Iterable[Any]) -> None:
        count = size = 1
        with self._meter:
            while count:
                self._batch_s, taken = time.perf_counter(), self._source.taken
                self._mine = False
                self._claim.release()
                count = self._call_batch(elements, count, taken)
                if not self._reclaim():
                    break  # the meter's thread has taken the run over
                if self._parts.failed or count < size or self._parts.is_late():
                    break
                if self._is_enough():
                    break
                if self._most is not None and len(self.values) >= self._most:
                    self.enough = False
                    break
                size = self._next_size(size)
                elements, count = self._pull(size)

    def _call_batch(self, elements: Iterable[Any], count: int, taken: int) -> int:
        """Call elements, and return how many they were."""
        if isinstance(elements, Flow):
            return self._call_flow(elements, taken)
        took_s = self._parts.here.call(elements, taken - count, self.values)
        if took_s >= READ_DELAY_FROM_S:
            self._meter.look()
        self._count(took_s, count)
        return count

    def _call_flow(self, flow: Flow, first: int) -> int:
        """Call what flows. The pulling is in its time: as a bound that may do."""
        cpu_0 = time.thread_time()
        took_s = self._parts.here.call(flow, first, self.values)
        count = self._source.flowed(flow)
        if took_s < TINY_S * count:
            self._count(took_s, count)
        else:
            self._flows = False
            self._meter.leave_out(took_s, time.thread_time() - cpu_0)
        return count

    def _count(self, took_s: float, count: int) -> None:
        # The best batch tells how short an item is: in another one, another thread may
        # have had the GIL.
        self._best_s = min(self._best_s, took_s / count)
        self._busy_s += took_s
        self._first_s = self._first_s or took_s
        self._calls += count

    def _next_size(self, size: int) -> int:
        if not self._source.container and not (self._flows and self._best_s < TINY_S):
            return 1  # pulled and timed one by one
        following = probing.next_batch(size, self._best_s)
        if self._most is None:
            return following
        return min(following, self._most - len(self.values))

    @property
    def sample(self) -> Sample | None:
        """The first item, to see what its way would cost; `None` while it is called.

        Whatever the first one returned, another may return what cannot be pickled:
        there is one result of each type among the first ones.
        """
        kinds: dict[type, Any] = {}
        for value in islice(self.values, SAMPLED_MOST):
            kinds.setdefault(type(value), value)
        return (self._first, list(kinds.values())) if kinds else None

    def seen(self) -> Seen | None:
        """Return what the items showed, earlier ones too; `None` if there were none."""
        if not self.values:
            return self._before
        return self._with(self._meter.profile(self._calls, item_s=self._warm_s))

    def _with(self, profile: Profile) -> Seen:
        before = self._before
        return Seen(profile) if before is None else before.and_then(profile)

    @property
    def _warm_s(self) -> float:
        """Seconds an item took; without the first, if that was a cold start."""
        calls, mean_s = self._calls, self._busy_s / self._calls
        rest_s = (self._busy_s - self._first_s) / max(1, calls - 1)
        return rest_s if probing.is_cold_start(calls, mean_s, rest_s) else mean_s

    def give_back(self, nudge: Callable[[], None]) -> None:
        """Have the run back from the meter's thread, if it was taken over.

        Args:
            nudge: Wakes that thread, should it wait for its run's inbox.
        """
        self.caller_back = True
        self._meter.let_go()  # an interrupt may have come before it was stopped
        if not self._reclaim():
            nudge()
            self._meter.join()

    def _reclaim(self) -> bool:
        """Return whether the run is the caller's, taking the claim if it is free."""
        self._mine = self._mine or self._claim.acquire(blocking=False)
        return self._mine

    def _is_enough(self) -> bool:
        spent_s, before, item_s = self._meter.wall_s, self._before, self._warm_s
        if self._most is not None:
            # Of items that have to be delivered first, few have to do.
            seen = self._with(Profile(self._calls, item_s))
            if seen.warm.wall_s < TINY_S:
                return True
        if before is not None:
            return spent_s + before.spent_s >= probing.ENOUGH_S
        if not probing.is_enough(spent_s, item_s, self._best_s, self._source.left):
            short = spent_s >= probing.TINY_ENOUGH_S
            return short and self._parts.deciding.gains_nothing(self._best_s)
        if spent_s < probing.ENOUGH_S:
            return True
        return probing.is_clear(spent_s, self._meter.seen_s)

    def _pull(self, size: int) -> tuple[Iterable[Any], int]:
        """Return elements, and how many they are; or those that flow, and `size`.

        The time that a generator takes is not the items'. Its next element may wait
        for what becomes of this one: it is never asked for several at once.
        """
        if self._source.container:
            return self._source.block(size)
        if size > 1:
            return self._source.flow(size), size
        wall_0, cpu_0 = time.perf_counter(), time.thread_time()
        block = self._source.block(size)
        wall_s, cpu_s = time.perf_counter() - wall_0, time.thread_time() - cpu_0
        self._meter.leave_out(wall_s, cpu_s)
        return block

    def _on_long(self) -> bool:
        """On the meter's thread; return whether it need not be asked again."""
        if not self._source.container:
            return True  # a generator belongs to the thread that began with it
        going_s = time.perf_counter() - self._batch_s
        if going_s < self._long_s:
            return False  # the probe is long, and not the item
        if not self._claim.acquire(blocking=False):
            return False  # the caller is between two items
        try:
            calls = len(self.values) + 1
            profile = self._meter.profile(calls, finished=False)
            if self._take_over(profile):
                return True  # and keep the claim
        except BaseException as exc:  # noqa: BLE001 - raised on the caller's thread
            self._parts.delivery.fail(exc)
            return True
        self._long_s = going_s * probing.ASK_AGAIN
        self._claim.release()
        return False
