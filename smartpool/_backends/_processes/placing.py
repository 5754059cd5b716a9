"""Which chunk goes to which worker, and how many workers there are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from ..._lock import fork_guard
from ..._observe.cpus import affinity
from ..base import Chunk, Host, Job, Watch
from .deadlines import Deadlines
from .worker import Care, Listener, Placed, Worker

__all__ = ["Care", "Placing"]

STARTS_AT_MOST: Final = 3
"""Failed starts in a row, while no worker is left, after which an item is given up."""

START_AGAIN_S: Final = 0.1
"""How long to wait after one. A guess: descriptors and memory come back in bursts."""

WAVE_S: Final = 0.1
"""A worker that starts keeps the next one waiting for so long, at most: twice as long as
a start takes (benchmarks/costs.py: cold start)."""

CLOSE_S: Final = 1.0
"""How long `close` waits for killed processes to end; they take a few ms."""


LEAVE_S: Final = 2.0
"""So long a worker that was sent away may take for its own end (`atexit`): a guess."""


class Placing:
    """The queue, and the workers that take from it.

    The worker that rested last works first: its caches are warm, and those that are
    not needed rest long enough for that to show.

    Args:
        host: The engine.
        listener: Who is told what workers say.
        cpus: CPUs that each worker may use.
        care: How workers begin, and when they go.
        give_up: Called with a chunk for which no worker could be started, and why.
    """

    def __init__(
        self,
        host: Host,
        listener: Listener,
        cpus: int,
        care: Care,
        give_up: Callable[[Placed, Exception], None],
    ) -> None:
        self._host = host
        self._listener = listener
        self._cpus = cpus
        self._care = care
        self._retiring: Watch | None = None
        self._give_up = give_up
        self._idle: list[Worker] = []
        self._queue: deque[Placed] = deque()
        self._failed_starts = 0
        self._sent_by_dead = 0
        self._closed = self._looks_again = False
        self.workers: list[Worker] = []
        self._deadlines = Deadlines(host, self.workers)

    @property
    def ready(self) -> int:
        """How many workers have nothing to do."""
        return len(self._idle)

    @property
    def sent_bytes(self) -> int:
        """How many bytes all workers together have been sent."""
        return self._sent_by_dead + sum(worker.sent_bytes for worker in self.workers)

    def put(self, placed: Placed, *, first: bool = False) -> None:
        """Queue a chunk; one that comes back goes `first`."""
        if first:
            self._queue.appendleft(placed)
        else:
            self._queue.append(placed)

    def first(self) -> Placed | None:
        """Take the chunk that has waited longest."""
        return self._queue.popleft() if self._queue else None

    def dispatch(self) -> None:
        """Bring what is queued to workers, and start as many as it takes."""
        while self._queue:
            worker = self._choose(self._queue[0].chunk.job)
            if worker is None:
                break
            worker.send(self._queue.popleft())
            self._deadlines.begun(worker)
        if not self._queue:
            return
        begun_s = [one.begun_s for one in self.workers if not one.ready]
        while len(self._queue) > len(begun_s) and not self._closed:
            if self._waits_for_others(begun_s) or not self._start():
                return
            begun_s.append(self.workers[-1].begun_s)

    def _waits_for_others(self, begun_s: list[float]) -> bool:
        """Return whether as many are starting as there are CPUs; it is looked again.

        Started all at once they would be up late, all at once: starting is computing.
        Those that take long are not waited for: they wait themselves, for an initializer.
        """
        now_s = time.monotonic()
        young = sum(now_s - each < WAVE_S for each in begun_s)
        if young < affinity():
            return False
        if not self._looks_again:
            self._looks_again = True
            self._host.call_later(WAVE_S, self._look_again)
        return True

    def _look_again(self) -> None:
        self._looks_again = False
        self.dispatch()

    def reserve(self, job: Job, reserved: list[Worker]) -> bool:
        """On a caller's thread: take an idle worker that has the function of `job`.

        In one step of the interpreter's it is out of the idle ones and in `reserved`:
        an interrupt finds it in one of the two.
        """
        idle = self._idle
        try:
            if not idle[-1].has(job):
                return False
            reserved.extend(map(list.pop, (idle,)))
        except IndexError:
            return False
        return reserved[-1].has(job) and reserved[-1].quiet

    def reclaim(self, worker: Worker, turn: int) -> None:
        """End a worker that is neither idle nor at anything: an interrupt has lost it.

        Args:
            worker: The worker.
            turn: The chunk after which that may have happened.
        """
        lost = worker.placed is None and worker.turn == turn
        if lost and worker not in self._idle:
            worker.kill()

    def up(self, worker: Worker) -> None:
        """Count on a worker that has started."""
        self._failed_starts = 0
        worker.ready = True
        self.rest(worker)

    def rest(self, worker: Worker) -> None:
        """Let a worker wait for work, or go if it has called enough."""
        if worker.doomed:
            return
        if worker.calls >= self._care.most_calls:
            self._dismiss(worker)
            return
        worker.rested_s = time.monotonic()
        self._idle.append(worker)
        if self._retiring is None:
            self._retiring = self._host.call_later(self._care.idle_s, self._retire)

    def remove(self, worker: Worker) -> None:
        """Strike a dead worker off."""
        self._sent_by_dead += worker.sent_bytes
        self.workers.remove(worker)
        self._take(worker)

    def calling(self, job: Job) -> list[tuple[Worker, Placed]]:
        """Return the workers that are at a chunk of `job`."""
        return [
            (worker, worker.placed)
            for worker in self.workers
            if worker.placed is not None and worker.placed.chunk.job is job
        ]

    def take(self, what: Job | Chunk | None = None) -> list[Placed]:
        """Take what is queued for a job, or one chunk, or all."""
        taken = [placed for placed in self._queue if placed.is_of(what)]
        for placed in taken:
            self._queue.remove(placed)
        return taken

    def close(self) -> None:
        """End all workers; what they were at is queued again.

        Each is known here until it has given back all that it held: so a second call
        does what an interrupted one has left.
        """
        self._closed, self._idle = True, []
        for worker in self.workers:
            worker.kill()
        deadline = time.monotonic() + CLOSE_S
        while self.workers:
            worker = self.workers[-1]
            worker.reap(deadline)
            worker.close()
            if (placed := worker.release()) is not None:
                self._queue.append(placed)
            self.remove(worker)

    def abandon(self) -> None:
        """Let go of the workers in a child of ours: they belong to the parent."""
        self._closed, self._idle = True, []
        self._queue.clear()
        while self.workers:
            self.workers.pop().abandon()

    def _retire(self) -> None:
        """Let those go that have been idle for long: the first ones in the list are."""
        self._retiring = None
        now = time.monotonic()
        for worker in self._idle.copy():
            left_s = worker.rested_s + self._care.idle_s - now
            if left_s > 0:
                self._retiring = self._host.call_later(left_s, self._retire)
                return
            if self._take(worker):
                self._dismiss(worker)

    def _dismiss(self, worker: Worker) -> None:
        """Let a worker end by itself; it is killed if it takes long."""
        worker.dismiss()
        self._host.call_later(LEAVE_S, worker.kill)

    def _choose(self, job: Job) -> Worker | None:
        """Take the worker that rested last, rather one that has the function.

        Callers' threads take some as well, at any moment (`reserve`).
        """
        for worker in reversed(self._idle.copy()):
            if worker.has(job) and self._take(worker):
                return worker
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _take(self, worker: Worker) -> bool:
        """Return whether `worker` was idle; it is not any more."""
        try:
            self._idle.remove(worker)
        except ValueError:
            return False
        return True

    def _start(self) -> bool:
        """Start a worker, and return whether that went well."""
        try:
            with fork_guard:  # a fork meanwhile would not find its descriptors
                worker = Worker(self._host, self._listener, self._cpus, self._care)
                self.workers.append(worker)
        except Exception as exc:  # noqa: BLE001 - told to who waits for a worker
            self._on_no_start(exc)
            return False
        try:
            worker.greet()
        except Exception as exc:  # noqa: BLE001 - nobody would hear of its end
            self._drop(worker)
            self._on_no_start(exc)
            return False
        return True

    def _drop(self, worker: Worker) -> None:
        """End a worker that cannot be listened to."""
        worker.kill()
        worker.reap(time.monotonic() + CLOSE_S)
        self.remove(worker)
        worker.close()

    def _on_no_start(self, exc: Exception) -> None:
        """Go on with the workers there are; without any, try again, and give up."""
        if self.workers:
            return
        self._failed_starts += 1
        if self._failed_starts <= STARTS_AT_MOST:
            self._host.call_later(START_AGAIN_S, self.dispatch)
            return
        self._give_up(self._queue.popleft(), exc)
        self._host.post(self.dispatch)
