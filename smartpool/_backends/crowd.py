"""Calls that go on side by side, as many at once as are allowed.

The items of a chunk that goes `together` need not wait for one another. The engine
hands many of them over in one go and hears of many ends in one go: at the end of a call
the next one begins right there, without a step of the engine's. Threads and event loops
have crowds; what a call is to them is theirs.

A *part* is one item of such a chunk. It is in exactly one place: in the queue, begun
(its call goes on), or ended (and perhaps not told yet).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from .._outcome import Outcome
from .base import Chunk, Host, Job, Usage

TOGETHER_S: Final = 0.002
"""What ends within so long of what was told last is told with all that ends meanwhile:
a guess."""

Part = tuple["Placed", int]
"""A chunk that was placed, and the position of an item in it."""


class Placed:
    """A chunk that was placed, and what is left of it. Counted by the engine alone."""

    __slots__ = ("chunk", "left", "let_go", "took")

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.left = len(chunk.items)
        self.let_go: tuple[int, ...] = ()
        self.took = Usage(0, 0.0, 0.0)


class _End(NamedTuple):
    """How a call ended, until the engine has been told."""

    placed: Placed
    position: int
    outcome: Outcome | None = None
    wall_s: float = 0.0
    let_go: bool = False


class Crowd:
    """The calls of one job, or of one chunk.

    Who calls may use it on any thread; chunks are added by the engine.

    Args:
        host: Who is told.
        job: Whose calls they are.
        one_by_one: Whether they go on one after the other, in order: then it is for one
            chunk. Otherwise as many go on at once as `job.at_once` says.
        left: Called by the engine when there is nothing left in it.
        post: Has a callback called by the engine when ends are to be told: soon, so that
            many are told in one go. `None`: a while after the last time.
        spent_s: Returns the seconds of CPU that calls have used since it was asked last,
            where nobody knows them of each; it is asked whenever ends are to be told.

    Attributes:
        begun: Whether any call has begun.
        stopped: Whether no further call is to begin.
    """

    def __init__(
        self,
        host: Host,
        job: Job,
        left: Callable[[Crowd], None],
        *,
        one_by_one: bool = False,
        post: Callable[[Callable[[], None]], None] | None = None,
        spent_s: Callable[[], float] | None = None,
    ) -> None:
        self.job = job
        self.begun = False
        self._host = host
        self._one_by_one = one_by_one
        self._left = left
        self._post = post or self._post_in_turn
        self._spent_s = spent_s
        self._cpu_s = 0.0
        self._told_s = 0.0
        self._lock = threading.Lock()
        self._queue: deque[Part] = deque()
        self._going = 0
        self._ends: list[_End] = []
        self._parts = 0
        self.stopped = False

    # -- by the engine ---------------------------------------------------------------

    def add(self, chunk: Chunk) -> None:
        """Have the items of `chunk` called, after those that are there."""
        placed = Placed(chunk)
        self.take((placed, position) for position in range(len(chunk.items)))

    def take(self, parts: Iterable[Part]) -> None:
        """Have parts called here, which another crowd may have given away."""
        parts = list(parts)
        with self._lock:
            self._queue.extend(parts)
            self._parts += len(parts)
            stopped = self.stopped
        if stopped:
            self.drop_waiting()

    def give_away(self) -> list[Part]:
        """Return all parts that have not begun: they are no more of this crowd's."""
        with self._lock:
            parts = list(self._queue)
            self._queue.clear()
            self._parts -= len(parts)
        return parts

    def drop_waiting(self, chunk: Chunk | None = None) -> None:
        """Finish chunks without their parts that have not begun; or one chunk."""
        self._drop(chunk)
        self.tell_soon()

    def stop(self) -> None:
        """Begin no further call, and finish without those that have not begun."""
        self.stopped = True
        self.drop_waiting()

    def tell_soon(self) -> None:
        """Have all told that has ended, whatever who calls is at."""
        self._host.post(self._tell)

    # -- by who calls ------------------------------------------------------------------

    def begin(self) -> Part | None:
        """Return the next part, whose call has to begin now; `None` if none may."""
        parts = self.begin_some(1)
        return parts[0] if parts else None

    def begin_some(self, count: int = sys.maxsize) -> list[Part]:
        """Return up to `count` parts, whose calls have to begin now: all that may."""
        if not self._queue:
            return []
        with self._lock:
            job, queue = self.job, self._queue
            free = (1 if self._one_by_one else job.at_once) - self._going
            count = min(count, free, len(queue))
            if self.stopped or count <= 0:
                return []
            self._going += count
            self.begun = True
            job.most_at_once = max(job.most_at_once, self._going)
            return [queue.popleft() for _ in range(count)]

    @property
    def going(self) -> int:
        """How many parts have begun and have not ended."""
        return self._going

    @property
    def waits(self) -> bool:
        """Whether there are parts that have not begun."""
        return bool(self._queue)

    def put_back(self, part: Part) -> None:
        """Take in that a call could not begin after all: it comes next."""
        with self._lock:
            self._going -= 1
            self._queue.appendleft(part)

    def give_up(self, part: Part) -> None:
        """Take in that `part` has not been called after all, and is called elsewhere."""
        del part
        with self._lock:
            self._going -= 1
            self._parts -= 1

    def end(
        self,
        part: Part,
        outcome: Outcome | None,
        wall_s: float = 0.0,
        cpu_s: float = 0.0,
        *,
        let_go: bool = False,
        stops: bool = False,
    ) -> None:
        """Take in that a call has ended, or was let go.

        Args:
            part: Whose call.
            outcome: What became of it; `None` if it has not been called.
            wall_s: Seconds that it took.
            cpu_s: Seconds of CPU that it used.
            let_go: It goes on by itself.
            stops: No further call is to begin.
        """
        ended = _End(*part, outcome, wall_s, let_go)
        failed = outcome is not None and outcome.failed and self.job.stop_on_error
        with self._lock:
            self._going -= 1
            self._cpu_s += cpu_s
            self._ends.append(ended)
            first = len(self._ends) == 1
        if failed or stops:
            self.stopped = True
            self._drop(None)
        if first:  # who tells them takes all there are by then
            if self._spent_s is not None:
                self._add_cpu(self._spent_s())
            self._post(self._tell)

    def _add_cpu(self, cpu_s: float) -> None:
        with self._lock:
            self._cpu_s += cpu_s

    def _post_in_turn(self, tell: Callable[[], None]) -> None:
        """Have the engine call `tell`: at once, unless it has just done so.

        A step of the engine at the end of each call would take as long as the rest of a
        call that waits.
        """
        now_s = time.perf_counter()
        if now_s - self._told_s > TOGETHER_S or not self._going:
            self._told_s = now_s
            self._host.post(tell)
        else:
            self._host.post_soon(partial(self._tell_later, tell))

    def _tell_later(self, tell: Callable[[], None]) -> None:
        self._host.call_later(TOGETHER_S, tell)

    def _drop(self, chunk: Chunk | None) -> None:
        with self._lock:
            waiting, self._queue = self._queue, deque()
            for part in waiting:
                if chunk is None or part[0].chunk is chunk:
                    self._ends.append(_End(*part))
                else:
                    self._queue.append(part)

    # -- by the engine -----------------------------------------------------------------

    def _tell(self) -> None:
        self._told_s = time.perf_counter()
        with self._lock:
            ends, self._ends = self._ends, []
            cpu_s, self._cpu_s = self._cpu_s, 0.0
            self._parts -= len(ends)
        by_chunk: dict[Placed, list[_End]] = {}
        for end in ends:
            by_chunk.setdefault(end.placed, []).append(end)
        for placed, some in by_chunk.items():
            self._tell_of(placed, some, cpu_s * len(some) / len(ends))
        if ends and not self._parts:
            self._left(self)

    def _tell_of(self, placed: Placed, ends: list[_End], cpu_s: float) -> None:
        chunk = placed.chunk
        placed.left -= len(ends)
        for end in ends:
            if end.let_go:
                placed.let_go += (chunk.items[end.position].index,)
        called = [one for one in ends if one.outcome is not None]
        if called:
            self._report(placed, called, cpu_s)
        if not placed.left:
            took = placed.took
            usage = Usage(took.calls, took.wall_s, took.cpu_s, let_go=placed.let_go)
            self._host.finish(chunk, usage)

    def _report(self, placed: Placed, ends: list[_End], cpu_s: float) -> None:
        outcomes = [end.outcome for end in ends if end.outcome is not None]
        wall_s = sum([end.wall_s for end in ends])
        chunk = placed.chunk
        if chunk.together:
            positions = [end.position for end in ends]
            usage = Usage(len(ends), wall_s, cpu_s)
            self._host.report_some(chunk, positions, outcomes, usage)
            return
        took = placed.took
        placed.took = Usage(
            took.calls + len(ends), took.wall_s + wall_s, took.cpu_s + cpu_s
        )
        self._host.report(chunk, outcomes)
