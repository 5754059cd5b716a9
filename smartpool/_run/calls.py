"""Single calls of one pool, as the engine has them: what waits, what is being called.

A run has a caller that feeds it and reads its inbox. A single call (`submit`, `map`,
`call`) has nobody: it is added once, and told when it is over. All of them that go to
one backend share a *lane*, which competes for leases like one more run: so calls wait
for each other in the order in which they came, and beside a run of 100 000 items a
call gets the next lease that comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from .._backends.base import Backend, Chunk, Item, Job, Usage
from .._outcome import Error, Outcome
from .scheduler import Scheduler, Tenant


class Listener(Protocol):
    """Who is told of one item of a call. By the engine, so it runs no user code."""

    def begin(self, *, stoppable: bool) -> bool:
        """Take in that it is to be called now; return whether it still is to be.

        Asked again if the item comes back and is placed anew.
        """
        ...

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        ...

    def settle(self, outcome: Outcome) -> None:
        """Take in what became of it; nothing if nobody waits for it any more."""

    def abandon(self, error: BaseException) -> None:
        """After a fork, in the child: it is over here. No lock may be waited for."""


class Call:
    """Some items to be called one after the other: one of `submit`, a chunk of `map`.

    Args:
        job: What to call. Several calls may share it.
        items: What to call it with, at least one, encoded if the backend wants that.
        listeners: Who is told, one an item.
        observe: Whether to measure closely.
        took: Told what each chunk of it took.
        shared: Whether other calls use the job, too.

    Attributes:
        done: Items whose outcome is known, from the first on.
        chunk: What was placed; `None` while it waits.
    """

    __slots__ = (
        "chunk",
        "done",
        "items",
        "job",
        "lane",
        "listeners",
        "observe",
        "shared",
        "took",
    )

    def __init__(
        self,
        job: Job,
        items: list[Item],
        listeners: list[Listener],
        *,
        observe: bool = False,
        took: Callable[[Usage], None] | None = None,
        shared: bool = False,
    ) -> None:
        self.job = job
        self.items = items
        self.listeners = listeners
        self.observe = observe
        self.took = took
        self.shared = shared
        self.done = 0
        self.chunk: Chunk | None = None
        self.lane: Lane | None = None

    def settle(self, outcomes: list[Outcome]) -> None:
        """Tell what became of its next items."""
        for outcome in outcomes[: len(self.items) - self.done]:
            listener, self.done = self.listeners[self.done], self.done + 1
            listener.settle(outcome)

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for what is left of it."""
        return any(listener.wanted for listener in self.listeners[self.done :])

    def fail(self, error: BaseException) -> None:
        """Let what is left of it have failed."""
        self.settle([Error(error)] * (len(self.items) - self.done))


class Lane:
    """The calls of one backend, in the order in which they came. One of the parties.

    Attributes:
        backend: Where they are called.
        tenant: What they hold of the CPUs.
        placed: Those that are being called, by their chunks, and the share of a CPU
            that their lease takes.
    """

    def __init__(self, backend: Backend, share: float, most: int) -> None:
        self.backend = backend
        self.tenant = Tenant(share=share, most=most)
        self.placed: dict[int, tuple[Call, float]] = {}
        self._waiting: OrderedDict[int, Call] = OrderedDict()

    @property
    def busy(self) -> bool:
        """Whether there are calls that are not over."""
        return bool(self._waiting or self.placed)

    @property
    def wants_place(self) -> bool:
        """Whether a call waits."""
        return bool(self._waiting)

    def add(self, call: Call, *, first: bool = False) -> None:
        """Let `call` wait for its turn; one that comes back is the `first`."""
        call.lane, call.chunk = self, None
        self._waiting[id(call)] = call
        if first:
            self._waiting.move_to_end(id(call), last=False)

    def withdraw(self, call: Call) -> bool:
        """Take `call` back; return whether it was waiting."""
        return self._waiting.pop(id(call), None) is not None

    def take(self) -> list[Call]:
        """Take back all that wait."""
        calls = list(self._waiting.values())
        self._waiting.clear()
        return calls

    def lease(self, share: float) -> Chunk | None:
        """Take the next call out of those that wait; `None` if it was cancelled."""
        _, call = self._waiting.popitem(last=False)
        stoppable = self.backend.stoppable
        rest = call.listeners[call.done :]
        wanted = [one.begin(stoppable=stoppable) for one in rest]
        if not any(wanted):
            return None
        chunk = Chunk(call.job, call.items[call.done :], observe=call.observe)
        call.chunk = chunk
        self.placed[chunk.id] = call, share
        return chunk


class Calls:
    """All single calls of one engine.

    Args:
        scheduler: Who gives leases.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lanes: dict[int, Lane] = {}

    @property
    def lanes(self) -> Iterator[Lane]:
        """All lanes, each a party that may want a place."""
        return iter(self._lanes.values())

    @property
    def busy(self) -> bool:
        """Whether there are calls that are not over."""
        return any(lane.busy for lane in self._lanes.values())

    def add(self, call: Call, backend: Backend, share: float, most: int) -> None:
        """Add a call for `backend`.

        Args:
            call: The call.
            backend: Where it goes.
            share: CPU that its lease takes.
            most: Calls at once there, at most.
        """
        lane = self._lanes.get(id(backend))
        if lane is None:
            lane = self._lanes[id(backend)] = Lane(backend, share, most)
        lane.tenant.most = most
        lane.add(call)

    def report(self, chunk: Chunk, outcomes: list[Outcome]) -> None:
        """Tell what became of the next items of `chunk`."""
        found = self._find(chunk)
        if found is not None:
            found[1].settle(outcomes)

    @property
    def in_workers(self) -> bool:
        """Whether a worker process is at one of them."""
        return any(lane.placed and lane.backend.travels for lane in self.lanes)

    def finish(self, chunk: Chunk, usage: Usage) -> bool:
        """Take in that `chunk` is over; return whether it was one of a call.

        What it has not called is called elsewhere.
        """
        found = self._find(chunk)
        if found is None:
            return False
        lane, call = found
        self._scheduler.release(lane.tenant, lane.placed.pop(chunk.id)[1])
        if call.took is not None:
            call.took(usage)
        if call.wanted:
            lane.add(call, first=True)
        elif not call.shared:
            lane.backend.forget(call.job)
        return True

    def withdraw(self, call: Call) -> Chunk | None:
        """Take back a call, if nobody waits for it; return what is called of it."""
        if call.wanted:
            return None
        if call.lane is not None and call.lane.withdraw(call):
            return None
        return call.chunk

    def fail(self, error: BaseException) -> list[tuple[Backend, Chunk]]:
        """Let all calls have failed; return what is being called of them."""
        chunks: list[tuple[Backend, Chunk]] = []
        for lane in self.lanes:
            for call in lane.take():
                call.fail(error)
            for call, _ in list(lane.placed.values()):
                call.fail(error)
                chunks += [(lane.backend, call.chunk)] if call.chunk else []
            lane.placed.clear()
            self._scheduler.release_all(lane.tenant)
        return chunks

    def _find(self, chunk: Chunk) -> tuple[Lane, Call] | None:
        for lane in self._lanes.values():
            placed = lane.placed.get(chunk.id)
            if placed is not None:
                return lane, placed[0]
        return None
