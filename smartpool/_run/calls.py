"""Single calls of one pool, as the engine has them: what waits, what is being called.

A run has a caller that feeds it and reads its inbox. A single call (`submit`, `map`,
`call`) has nobody: it is added once, and its listeners are told when it is over. All
that go to one backend share a *lane*, which competes for leases like one more run: so
calls wait for each other in the order in which they came, and beside a run of 100 000
items a call gets the next lease that comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from .._backends.base import Backend, Chunk, Item, Job, Said, Usage
from .._outcome import Error, Outcome
from .scheduler import Scheduler, Tenant
from .turns import saying


class Listener(Protocol):
    """Who is told of one item of a call. By the engine, so it runs no user code."""

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        ...

    @property
    def quiet(self) -> bool:
        """Whether nobody is to be told but who waits for it."""
        ...

    def begin(self, *, stoppable: bool) -> bool:
        """Take in that it is called now, here or anew; return whether it is wanted."""
        ...

    def settle(self, outcome: Outcome) -> None:
        """Take in what became of it; nothing if nobody waits for it any more."""

    def abandon(self, error: BaseException) -> None:
        """After a fork, in the child: it is over here. No lock may be waited for."""


class Call:
    """Some items to be called one after the other: one of `submit`, a chunk of `map`.

    Args:
        job: What to call.
        items: What to call it with, encoded if the backend wants that.
        listeners: Who is told, one an item.
        shared: Whether other calls use the job, too.
        observe: Whether to measure closely.
        took: Told what each chunk of it took.

    Attributes:
        done: Items whose outcome is known, from the first on.
        direct: Waits for its end on a caller's thread, for so many seconds at most;
            `None` if the engine tells of that.
        lane: Where it waits, or is called; `None` before it is added.
        chunk: What was placed; `None` while it waits.
    """

    __slots__ = (
        "chunk",
        "direct",
        "done",
        "items",
        "job",
        "lane",
        "listeners",
        "observe",
        "said",
        "shared",
        "took",
    )

    def __init__(
        self,
        job: Job,
        items: list[Item],
        listeners: list[Listener],
        *,
        shared: bool = False,
        observe: bool = False,
        took: Callable[[Usage], None] | None = None,
    ) -> None:
        self.job: Job = job
        self.items: list[Item] = items
        self.listeners: list[Listener] = listeners
        self.shared: bool = shared
        self.observe: bool = observe
        self.took: Callable[[Usage], None] | None = took
        self.said: list[Said] = []
        self.done: int = 0
        self.direct: Callable[[float | None], None] | None = None
        self.lane: Lane | None = None
        self.chunk: Chunk | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for what is left of it."""
        return any(listener.wanted for listener in self.listeners[self.done :])

    def begin(self, *, stoppable: bool) -> bool:
        """Tell that it is called now; return whether anybody waits for it."""
        rest = self.listeners[self.done :]
        return any([one.begin(stoppable=stoppable) for one in rest])  # noqa: C419 - all

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Tell what became of its next items, after what was said meanwhile."""
        if not self.said or not outcomes:
            self._tell(outcomes)
            return
        said, self.said = self.said, []
        listeners = self.listeners[self.done : self.done + len(outcomes)]
        self.done += len(listeners)
        saying.call(
            partial(_deliver, said, list(zip(listeners, outcomes, strict=False)))
        )

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes[: len(self.items) - self.done]:
            listener = self.listeners[self.done]
            self.done += 1
            listener.settle(outcome)

    @property
    def quiet(self) -> bool:
        """Whether nobody is to be told of its end but who waits for it."""
        return len(self.listeners) == 1 and self.listeners[0].quiet

    def over(self, outcome: Outcome, wall_s: float, cpu_s: float) -> None:
        """Tell what became of its one item, on the caller's thread; again, perhaps."""
        self.direct = None
        if self.took is not None:
            self.took(Usage(1, wall_s, cpu_s))
        self.done = 1
        for listener in self.listeners:
            listener.settle(outcome)

    def fail(self, error: BaseException) -> None:
        """Let what is left of it have failed."""
        self.settle([Error(error)] * (len(self.items) - self.done))


def _deliver(said: list[Said], outcomes: list[tuple[Listener, Outcome]]) -> None:
    for one in said:
        one.deliver()
    for listener, outcome in outcomes:
        listener.settle(outcome)


class Lane:
    """The calls of one backend that wait, in the order in which they came: a party.

    Attributes:
        backend: Where they are called.
        tenant: What they hold of the CPUs.
    """

    def __init__(self, calls: Calls, backend: Backend, share: float, most: int) -> None:
        self.backend = backend
        self.tenant: Tenant = Tenant(share=share, most=most)
        self._calls = calls
        self._waiting: OrderedDict[int, Call] = OrderedDict()

    @property
    def wants_place(self) -> bool:
        """Whether a call waits."""
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether as many are called as may be at once: the next waits for one of them."""
        return self.tenant.leases >= self.tenant.most

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
        if not call.begin(stoppable=self.backend.stoppable):
            return None
        chunk = Chunk(call.job, call.items[call.done :], observe=call.observe)
        self._calls.placed(self, call, chunk, share)
        return chunk


class Calls:
    """All single calls of one engine.

    Args:
        scheduler: Who gives leases.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lanes: dict[int, Lane] = {}
        self._placed: dict[int, tuple[Lane, Call, float]] = {}

    @property
    def lanes(self) -> list[Lane]:
        """All lanes: parties that may want a place."""
        return list(self._lanes.values())

    @property
    def waiting(self) -> bool:
        """Whether any of them waits for a place."""
        return any([lane.wants_place for lane in self.lanes])  # noqa: C419 - quicker

    @property
    def busy(self) -> bool:
        """Whether there are calls that are not over."""
        return bool(self._placed) or self.waiting

    @property
    def in_workers(self) -> bool:
        """Whether a worker process is at one of them."""
        return any(lane.backend.travels for lane, _, _ in self._placed.values())

    def lane(self, backend: Backend, share: float, most: int) -> Lane:
        """Return the lane of `backend`. On any thread: each has one.

        Args:
            backend: Where its calls go.
            share: CPU that a lease takes.
            most: Calls at once there, at most.
        """
        lane = self._lanes.get(id(backend))
        if lane is None:
            made = Lane(self, backend, share, most)
            lane = self._lanes.setdefault(id(backend), made)
        return lane

    def placed(self, lane: Lane, call: Call, chunk: Chunk, share: float) -> None:
        """Take in that the rest of a call is placed, as a chunk."""
        call.lane, call.chunk = lane, chunk
        self._placed[chunk.id] = lane, call, share

    def placed_now(self, lane: Lane, call: Call, chunk: Chunk) -> None:
        """Take in that a caller's thread has placed a call on its own."""
        self.placed(lane, call, chunk, self._scheduler.take(lane.tenant))
        if not call.begin(stoppable=True):
            lane.backend.kill_chunk(chunk)

    def report(self, chunk: Chunk, outcomes: Sequence[Outcome]) -> None:
        """Tell what became of the next items of `chunk`."""
        found = self._placed.get(chunk.id)
        if found is not None:
            found[1].settle(outcomes)

    def said(self, chunk: Chunk, said: Said) -> bool:
        """Take in what was said during a call; return whether `chunk` is one of a call.

        It is handled before those who wait for the call hear of its end.
        """
        found = self._placed.get(chunk.id)
        if found is not None:
            found[1].said.append(said)
        return found is not None

    def finish(self, chunk: Chunk, usage: Usage, outcomes: Sequence[Outcome]) -> None:
        """Take in that `chunk` is over, if it is one of a call.

        What it has not called is called elsewhere.
        """
        found = self._placed.pop(chunk.id, None)
        if found is None:
            return
        lane, call, share = found
        self._scheduler.release(lane.tenant, share)
        if call.took is not None:
            call.took(usage)
        call.settle(outcomes)
        if call.done < len(call.items) and call.wanted:
            lane.add(call, first=True)
        elif not call.shared:
            lane.backend.forget(call.job)

    def withdraw(self, call: Call) -> Chunk | None:
        """Take back a call, if nobody waits for it; return what is called of it."""
        if call.wanted or call.lane is None:
            return None
        return None if call.lane.withdraw(call) else call.chunk

    def fail(self, error: BaseException) -> Iterator[tuple[Backend, Chunk]]:
        """Let all calls have failed; yield what is being called of them."""
        for lane in self.lanes:
            for call in lane.take():
                call.fail(error)
        placed, self._placed = self._placed, {}
        for lane, call, share in placed.values():
            call.fail(error)
            self._scheduler.release(lane.tenant, share)
            if call.chunk is not None:
                yield lane.backend, call.chunk
