"""One run, as the engine has it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from queue import SimpleQueue
from typing import Final

from .._backends.base import Backend, Chunk, Item, Job, Usage, Watch
from .._decide.chunks import TARGET_S, THREAD_TARGET_S, next_chunk_size
from .._decide.facts import Profile
from .._decide.limits import Growth
from .._decide.plan import Plan, duration
from .._decide.probing import ENOUGH_S
from .._observe.gil import gil_enabled
from .dispatcher import Dispatcher
from .messages import Doubt, Message
from .scheduler import Tenant

CHUNK_BYTES: Final = 4 << 20
"""Payloads of one chunk together, at most, if one item does not exceed it: a guess."""

AHEAD: Final = 2
"""Chunks for each place that are fed before they are needed: one would let a worker
wait for the caller, more would only hold memory."""

FED_MOST: Final = 20_000
"""Items that are fed ahead, at most."""

DOUBT_S: Final = 0.1
"""So long after a plan for waiting it is checked whether the calls do wait: a guess."""

CONTENDED: Final = 10.0
"""Items on threads that take so many times longer than all threads' items would one
after the other are in each other's way: with less than that, a busy machine or bigger
items could be the reason. A guess; one shared dict on 3.13t makes it 260."""

CONTENDED_CALLS: Final = 4
"""Items that have to show it: a guess."""

DOUBT_SHARE: Final = 0.7
"""CPU that they use together, from which on that is in doubt: with the GIL on, calls
that take turns use one CPU, and calls that wait next to none. A guess."""

FADE: Final = 0.5
"""What counts of the items before, with each chunk, in the running mean of an item's
duration: a guess."""


@dataclass(slots=True)
class Stats:
    """What was counted while the run went on."""

    items: dict[str, int] = field(default_factory=dict[str, int])
    busy_s: float = 0.0
    cpu_s: float = 0.0
    most_at_once: int = 0
    let_go: int = 0
    let_go_items: list[int] = field(default_factory=list[int])
    crashed: list[int] = field(default_factory=list[int])
    chunks: int = 0

    @property
    def item_s(self) -> float:
        """Seconds an item took, on average."""
        return self.busy_s / max(1, sum(self.items.values()))

    def count(self, backend: str, usage: Usage) -> None:
        """Add a chunk."""
        self.items[backend] = self.items.get(backend, 0) + usage.calls
        self.busy_s += usage.wall_s
        self.cpu_s += usage.cpu_s
        self.let_go += usage.let_go
        if usage.item is not None:
            self.let_go_items.append(usage.item)
        if usage.crashed is not None:
            self.crashed.append(usage.crashed)
        self.chunks += 1


class Run:
    """The state of one run. All but `inbox` belongs to the engine."""

    def __init__(
        self, job: Job, plan: Plan, backend: Backend, total: int | None, cpus: int
    ) -> None:
        self.job: Job = job
        self.plan: Plan = plan
        self.backend: Backend = backend
        self.total: int | None = total
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.dispatcher: Dispatcher = Dispatcher()
        self.stats: Stats = Stats()
        self.backend_of: dict[int, tuple[Backend, float]] = {}
        self.stopping: bool = False
        self.killed: bool = False
        self.grace: Watch | None = None
        self.until_s: float | None = None
        self.late: Watch | None = None
        # Whether a `Want` is not answered yet. A caller begins without one.
        self.asked: bool = True
        self.observe_next: bool = False
        self._doubted = False
        self._recent = (0.0, 0.0)
        self._measured = 0
        self._alone_s: float | None = None
        self._window = (0, time.monotonic())
        self.tenant: Tenant = Tenant(share=1.0, most=1)
        self.growth: Growth = Growth(plan.concurrency, plan.grow_to)
        self.follow(plan, backend, cpus)

    def follow(self, plan: Plan, backend: Backend, cpus: int) -> None:
        """Carry out `plan` from here on."""
        self.plan, self.backend = plan, backend
        self.growth = Growth(plan.concurrency, plan.grow_to)
        self._since = time.monotonic(), self.stats.cpu_s, sum(self.stats.items.values())
        # As long as it is not known what the function is, workers are asked.
        self.observe_next = plan.kind == "unknown" and plan.backend == "processes"
        self.tenant.share = share_of(plan, cpus)
        self.tenant.most = plan.concurrency

    def end_timers(self) -> None:
        """Wait for no time any more: it is over."""
        for timer in (self.grace, self.late):
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
        """Whether it has an item that could be placed."""
        return self.dispatcher.pending > 0

    @property
    def _item_s(self) -> float | None:
        calls, wall_s = self._recent
        return wall_s / calls if calls else None

    @property
    def chunk_size(self) -> int:
        """Items that the next chunk gets."""
        if self.plan.chunksize is not None:
            return self.plan.chunksize
        if self.plan.backend == "event_loop":
            return 1
        rest = None
        if self.total is not None:
            rest = max(1, self.total - self.dispatcher.settled)
        target_s = THREAD_TARGET_S if self.plan.backend == "threads" else TARGET_S
        return next_chunk_size(
            rest, self.tenant.most, self._item_s, self._measured, target_s
        )

    def lease(self, share: float) -> Chunk:
        """Take the next chunk out of what is pending, for a lease of that share."""
        chunk = self._next_chunk()
        self.backend_of[chunk.id] = (self.backend, share)
        self.stats.most_at_once = max(self.stats.most_at_once, self.tenant.leases)
        return chunk

    def _next_chunk(self) -> Chunk:
        size = self.chunk_size
        if self.observe_next and self._item_s:
            size = max(size, ceil(ENOUGH_S / self._item_s))
        items = self.dispatcher.take(size, CHUNK_BYTES)
        chunk = Chunk(self.job, items, observe=self.observe_next)
        self.observe_next = False
        self.dispatcher.placed(chunk)
        return chunk

    def input_wanted(self) -> int:
        """Return how many more items should be fed now; 0 if enough are there."""
        ahead = min(FED_MOST, AHEAD * self.tenant.most * self.chunk_size)
        missing = ahead - self.dispatcher.pending
        return missing if missing >= ceil(ahead / 2) else 0

    def learn(self, usage: Usage) -> None:
        """Take in what a chunk took."""
        if not usage.calls:
            return
        # What was before counts for less with each chunk, and by its items.
        calls, wall_s = self._recent
        self._recent = calls * FADE + usage.calls, wall_s * FADE + usage.wall_s
        self._measured += usage.calls
        self._grow()

    def _grow(self) -> None:
        """Allow more calls at once, once a window of them shows that it helps.

        A window is a whole round: as many results as there are calls at once.
        """
        settled, since = self._window
        results = self.dispatcher.settled - settled
        if self.growth.limit >= self.growth.most or results < self.growth.limit:
            return
        now = time.monotonic()
        self.growth = self.growth.after(results, now - since)
        self.tenant.most = self.growth.limit
        self._window = (self.dispatcher.settled, now)

    def doubt(self) -> Doubt | None:
        """Return a doubt, once, if the calls do not go as planned."""
        elapsed_s = time.monotonic() - self._since[0]
        if self._doubted or elapsed_s < DOUBT_S:
            return None
        doubt = None
        if self.plan.rule == "waits":
            doubt = self._doubt_waiting(elapsed_s)
        elif self.plan.rule == "gil-off":
            doubt = self._doubt_scaling()
        self._doubted = doubt is not None
        return doubt

    def _doubt_waiting(self, elapsed_s: float) -> Doubt | None:
        """Return a doubt if calls that should wait use a whole CPU together.

        With the GIL on they may be taking turns.
        """
        _, cpu_s, calls = self._since
        used_s = self.stats.cpu_s - cpu_s
        if not gil_enabled() or used_s < DOUBT_SHARE * elapsed_s:
            return None
        each_s = used_s / max(1, sum(self.stats.items.values()) - calls)
        profile = Profile(1, each_s, each_s, others_share=1.0)
        return Doubt(profile, "calls that seemed to wait use a whole CPU together")

    def _doubt_scaling(self) -> Doubt | None:
        """Return a doubt if threads without a GIL are slower together than one."""
        alone_s, item_s = self._alone_s, self.stats.item_s
        if alone_s is None or sum(self.stats.items.values()) < CONTENDED_CALLS:
            return None
        if item_s < CONTENDED * self.plan.workers * alone_s:
            return None
        profile = Profile(1, alone_s, alone_s, contended=True)
        text = f"an item takes {duration(item_s)} on threads, {duration(alone_s)} alone"
        return Doubt(profile, text)

    def expect(self, item_s: float, measured: int) -> None:
        """Begin with what the probe has measured."""
        self._recent, self._measured = (measured, item_s * measured), measured
        self._alone_s = item_s


def share_of(plan: Plan, cpus: int) -> float:
    """Return the share of a CPU that one of the plan's calls takes.

    The calls of a plan together take all CPUs, at most. Those that wait take none:
    how many of them go on at once is for their growth to find out.
    """
    if plan.kind in ("io", "async") or plan.grow_to > plan.concurrency:
        return 0.0
    return min(1.0, cpus / plan.workers)
