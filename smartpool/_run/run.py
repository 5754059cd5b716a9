"""One run, as the engine has it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from errno import EMFILE, ENFILE
from math import ceil
from queue import SimpleQueue
from typing import Final

from .._backends.base import Backend, Chunk, Item, Job, Usage, Watch
from .._backends.libraries import Cap
from .._decide.chunks import (
    TARGET_S,
    THREAD_TARGET_S,
    WORK_TARGET_S,
    next_chunk_size,
)
from .._decide.costs import STEPS_S
from .._decide.doubts import LOOK_CALLS, LOOK_S, WAITS_AGAIN, Doubt, Shown, doubt
from .._decide.facts import Profile
from .._decide.limits import START_MOST, Growth
from .._decide.plan import Plan
from .._decide.probing import ENOUGH_S
from .._observe.gil import gil_enabled
from .._outcome import Error, Outcome
from .dispatcher import Dispatcher
from .messages import Message, Outcomes, Settled
from .scheduler import Tenant
from .stats import Stats
from .windows import Windows

CHUNK_BYTES: Final = 4 << 20
"""Payloads of one chunk together, at most, if one item does not exceed it: a guess."""

AHEAD: Final = 2
"""Chunks for each place that are fed before they are needed: one would let a worker
wait for the caller, more would only hold memory."""

AHEAD_S: Final = 0.02
"""Items that go together are placed for so long ahead at least: a guess, four of the
interpreter's switch intervals."""

FED_MOST: Final = 20_000
"""Items that are fed ahead, at most."""

FADE: Final = 0.5
"""What counts of the items before, with each chunk, in the running mean of an item's
duration: a guess."""


LONG_S: Final = 2.0
"""CPU of a chunk of coroutines, at most: a plan can be changed after it. A guess."""

IDLE_TIMES: Final = 4.0
"""A chunk of coroutines computes for so many times as long as its worker has nothing to
do at its end, while the last ones wait: a guess, four fifths of a CPU."""


class Run:
    """The state of one run. All but `inbox` belongs to the engine.

    Args:
        job: What to call.
        plan: How.
        backend: Where.
        profile: What the plan was made from; `None` if nothing was measured.
        total: Items in all; `None` if not known.
        cpus: CPUs of the pool.
        lazy: Whether results are read one by one, so that none may wait for others.
        stats: What was counted before, if it goes on with what came back.
    """

    def __init__(
        self,
        job: Job,
        plan: Plan,
        backend: Backend,
        total: int | None,
        cpus: int,
        *,
        profile: Profile | None = None,
        lazy: bool = True,
        stats: Stats | None = None,
    ) -> None:
        self.job: Job = job
        self.plan: Plan = plan
        self.backend: Backend = backend
        self.total: int | None = total
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.dispatcher: Dispatcher = Dispatcher()
        self.stats: Stats = stats or Stats()
        self.backend_of: dict[int, tuple[Backend, float]] = {}
        self.stopping: bool = False
        self.killed: bool = False
        self.grace: Watch | None = None
        self.until_s: float | None = None
        self.late: Watch | None = None
        self.lazy: bool = lazy
        self.telling: Watch | None = None
        self._cap = Cap()
        self._untold: list[Settled] = []
        # Whether a `Want` is not answered yet. A caller begins without one.
        self.asked: bool = True
        self.observe_next: bool = False
        self._look_after_s = LOOK_S
        self._recent = (0.0, 0.0)
        self._measured = 0
        self._idle_s = 0.0
        self._clocks = False
        self._windows = Windows(self.stats, time.monotonic())
        self._alone_s: float | None = None
        self._cpus = cpus
        self._shown: tuple[int, float, float] = (0, 0.0, 0.0)
        self.tenant: Tenant = Tenant(share=1.0, most=1)
        self.growth: Growth = Growth(plan.concurrency, plan.grow_to)
        self.follow(plan, backend, profile)

    def follow(self, plan: Plan, backend: Backend, profile: Profile | None) -> None:
        """Carry out `plan` from here on, which was made from `profile`."""
        self.plan, self.backend = plan, backend
        self.profile: Profile | None = profile
        self.growth = Growth(plan.concurrency, plan.grow_to)
        self._windows.open(time.monotonic())
        self._look_from_now()
        # As long as it is not known what the function is, workers are asked.
        self.observe_next = plan.kind == "unknown" and plan.backend == "processes"
        self.tenant.share = share_of(plan, self._cpus)
        self.together: bool = goes_together(plan)
        if plan.side_by_side is not None and profile is not None and profile.cpu_s:
            # What a call took on a loop that was busy with others says nothing.
            self._recent, self._measured = (1, profile.cpu_s), profile.calls
        self._allow()

    def _allow(self) -> None:
        """Take in how many calls may go on at once: leases, or calls of its chunks."""
        if self.together:
            self.job.at_once, self.tenant.most = self.growth.limit, sys.maxsize
        else:
            self.tenant.most = self.growth.limit

    def tell(self, message: Message) -> None:
        """Tell the caller, after all outcomes that came before."""
        self.tell_outcomes()
        self.inbox.put(message)

    def tell_outcomes(self) -> None:
        """Tell the caller of the outcomes that it has not heard of yet."""
        untold, self._untold = self._untold, []
        if untold:
            self.inbox.put(Outcomes(untold))

    def tell_soon(self, settled: Sequence[Settled]) -> bool:
        """Have the caller told of outcomes; return whether somebody has to see to it.

        A caller that waits for all results is not woken for each of them.
        """
        first = not self._untold
        self._untold += settled
        if self.lazy or any([outcome.failed for _, outcome in settled]):  # noqa: C419
            self.tell_outcomes()
        return first and bool(self._untold)

    def cap_libraries(self) -> None:
        """Have numerical libraries use as many threads as its plan says."""
        self.job.library_threads = self.plan.library_threads
        self._cap.set(self.plan.library_threads)

    def end_effects(self) -> None:
        """Wait for no time any more, and limit nothing: it is over."""
        self._cap.lift()
        for timer in (self.grace, self.late, self.telling):
            if timer is not None:
                timer.cancel()

    def observe_again(self) -> None:
        """Have another chunk measured: who measured the last one has died."""
        self.observe_next = self.plan.kind == "unknown"

    def split(self, items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
        """Return the items that its backend can take as they are, and the others."""
        fits: list[Item] = []
        others: list[Item] = []
        for item in items:
            unfit = self.backend.travels and item.payload is None
            (others if unfit else fits).append(item)
        return fits, others

    @property
    def wants_place(self) -> bool:
        """Whether it has items that could be placed; if they go together, enough."""
        pending = self.dispatcher.pending
        if not (pending and self.together):
            return pending > 0
        return self._room >= min(pending, ceil(self._ahead / 4))

    @property
    def waiting(self) -> int:
        """Items that were fed and have not begun, about; may be read on any thread."""
        placed = max(0, self.dispatcher.out - self.growth.limit) if self.together else 0
        return self.dispatcher.pending + placed

    @property
    def _ahead(self) -> int:
        """Items that are placed ahead where they go together: no place stays empty.

        That is for as long as the engine and the caller may take to see to it.
        """
        limit, item_s = self.growth.limit, self._item_s
        ahead = AHEAD * limit
        if item_s is not None and item_s < AHEAD_S:
            ahead = max(ahead, int(min(limit * AHEAD_S / max(item_s, 1e-9), FED_MOST)))
        return ahead

    @property
    def _room(self) -> int:
        return self._ahead - self.dispatcher.out

    @property
    def _item_s(self) -> float | None:
        calls, wall_s = self._recent
        return wall_s / calls if calls else None

    @property
    def chunk_size(self) -> int:
        """Items that the next chunk gets."""
        if self.plan.chunksize is not None:
            return self.plan.chunksize
        if self.together:
            return max(1, self._room)
        rest = None
        if self.total is not None:
            rest = max(1, self.total - self.dispatcher.settled)
        size = next_chunk_size(
            rest, self.tenant.most, self._item_s, self._measured, self._target_s
        )
        return min(size, self.plan.side_by_side or size)

    @property
    def _target_s(self) -> float:
        """Seconds that a chunk should take; of CPU, where its calls wait side by side."""
        if self.plan.backend == "threads":
            works = self.plan.kind in ("nogil", "cpu")
            return WORK_TARGET_S if works else THREAD_TARGET_S
        if self.plan.side_by_side is None:
            return TARGET_S
        return min(LONG_S, max(TARGET_S, IDLE_TIMES * self._idle_s))

    def lease(self, share: float) -> Chunk:
        """Take the next chunk out of what is pending, for a lease of that share."""
        chunk = self._next_chunk()
        self.backend_of[chunk.id] = (self.backend, share)
        if not self.together:
            stats = self.stats
            stats.most_at_once = max(stats.most_at_once, self.tenant.leases)
            if chunk.together:
                out = self.dispatcher.out
                stats.most_side_by_side = max(stats.most_side_by_side, out)
        return chunk

    def _next_chunk(self) -> Chunk:
        size = self.chunk_size
        if self.observe_next and self._item_s:
            size = max(size, ceil(ENOUGH_S / self._item_s))
        items = self.dispatcher.take(size, CHUNK_BYTES)
        chunk = Chunk(
            self.job,
            items,
            observe=self.observe_next,
            together=self.together or self.plan.side_by_side is not None,
        )
        self.observe_next = False
        self.dispatcher.placed(chunk)
        return chunk

    def input_wanted(self) -> int:
        """Return how many more items should be fed now; 0 if enough are there."""
        ahead = self._ahead
        if not self.together:
            ahead = min(FED_MOST, AHEAD * self.tenant.most * self.chunk_size)
        missing = ahead - self.dispatcher.pending
        return missing if missing >= ceil(ahead / 2) else 0

    def learn(self, usage: Usage, backend: Backend) -> bool:
        """Take in what calls took; return whether more may go on at once now.

        What was in flight when the plan changed says nothing of the new one.
        """
        if not usage.calls:
            return False
        if backend is self.backend:
            shown, shown_s, cpu_s = self._shown
            self._shown = (
                shown + usage.calls,
                shown_s + usage.wall_s,
                cpu_s + usage.cpu_s,
            )
        # What was before counts for less with each chunk, and by its items.
        seconds, (calls, wall_s) = usage.wall_s, self._recent
        if self.plan.side_by_side is not None:
            seconds, idle_s = usage.cpu_s, max(0.0, usage.wall_s - usage.cpu_s)
            self._idle_s = self._idle_s * FADE + idle_s * (1 - FADE)
        self._recent = calls * FADE + usage.calls, wall_s * FADE + seconds
        self._measured += usage.calls
        freed = self._clocks and self._free()
        return self._grow() or freed

    def _grow(self) -> bool:
        """Allow more calls at once, or fewer, when a window of them is over."""
        if self.tenant.share > 0:
            return False
        before, now_s = self.growth.limit, time.monotonic()
        usable = 1 if gil_enabled() else self._cpus
        window = self._windows.next(self.growth, usable, now_s)
        if window is not None:
            self.growth = self.growth.after(window)
            self._allow()
            self._windows.open(now_s, 0 if self.growth.limit == before else before)
        return self.growth.limit > before

    def wait_for_clocks(self) -> bool:
        """Take in that its calls wait for clocks alone; return whether more may go on.

        All of them may, once it is known that they do not compute as well: what has
        begun cannot move to workers any more.
        """
        self._clocks = True
        return self._free()

    def _free(self) -> bool:
        before = self.growth.limit
        cheap = self._cheap
        if cheap is not None:
            self._clocks = False
        if cheap is not False:
            self.growth = self.growth.freed(None if cheap else START_MOST)
            self._allow()
        return self.growth.limit > before

    @property
    def _cheap(self) -> bool | None:
        """Whether calls compute so little that one loop has CPU for all; `None`: unknown."""
        calls, cpu_s = self.stats.called, self.stats.cpu_s
        if calls < LOOK_CALLS:
            if self.profile is None or self.profile.cpu_s is None:
                return None
            calls, cpu_s = 1, self.profile.cpu_s
        return cpu_s / calls * WAITS_AGAIN < STEPS_S

    def look_for_refusals(self, outcomes: Iterable[Outcome]) -> None:
        """Have fewer calls at once if some of these could not get a descriptor.

        Not once more for those that had begun before that.
        """
        refused = sum(map(is_refusal, outcomes))
        if not refused or self.tenant.share > 0:
            return
        stats = self.stats
        if stats.called >= stats.refusals_from:
            stats.refusals_from = stats.called + self.growth.limit
            self.growth = self.growth.refused()
            self._allow()
            self._windows.open(time.monotonic())
        stats.refused += refused

    def doubt(self) -> Doubt | None:
        """Return a doubt if the calls do not go as planned; seldom more than one."""
        now, (since_s, delay_s) = time.monotonic(), self._looked
        calls, wall_s, cpu_s = self._shown
        if now - since_s < self._look_after_s or not calls:
            return None
        shown = Shown(
            calls,
            wall_s,
            cpu_s,
            max(0.0, self.backend.delay_s() - delay_s),
            now - since_s,
            alone_s=self._alone_s,
            gil=gil_enabled(),
        )
        found = doubt(self.plan, self.profile, shown)
        if found is not None or shown.calls >= LOOK_CALLS:
            self._look_from_now()  # else a few calls that take long would show nothing
        if found is not None:
            # Each time it is waited longer for the next: no to and fro.
            self._look_after_s *= 2
        return found

    def _look_from_now(self) -> None:
        self._looked = time.monotonic(), self.backend.delay_s()
        self._shown = 0, 0.0, 0.0

    def expect(self, item_s: float, measured: int) -> None:
        """Begin with what the probe has measured."""
        self._recent, self._measured = (measured, item_s * measured), measured
        self._alone_s = item_s
        self.growth = self.growth._replace(alone_s=item_s)


def share_of(plan: Plan, cpus: int) -> float:
    """Return the share of a CPU that one of the plan's calls takes.

    The calls of a plan together take all CPUs, at most. Those that wait take none:
    how many of them go on at once is for their growth to find out.
    """
    on_a_loop = plan.kind == "async" and plan.backend == "event_loop"
    if plan.kind == "io" or on_a_loop or plan.grow_to > plan.concurrency:
        return 0.0
    return min(1.0, cpus / plan.workers)


def is_refusal(outcome: Outcome) -> bool:
    """Return whether a call failed because there were no descriptors left."""
    error = outcome.error if isinstance(outcome, Error) else None
    return isinstance(error, OSError) and error.errno in (EMFILE, ENFILE)


def goes_together(plan: Plan) -> bool:
    """Return whether the plan's calls wait side by side, in no order.

    Not in chunks that the user has asked for: those are called one after the other.
    """
    if plan.chunksize is not None:
        return False
    waits = plan.backend == "threads" and share_of(plan, 1) == 0
    return waits or plan.backend == "event_loop"
