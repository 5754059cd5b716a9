"""Items that take longer than their `item_timeout`: their workers are killed.

The board says which item a worker is calling, and since when. But it may move on
between that being read and the signal. So the worker is stopped first, also in the
middle of C code that holds the GIL, and what is read then is final: it is killed if it
is still at an item that has had its time, and else goes on as if nothing had been.

When an item ends its successor begins: so whoever finds none that has had its time
need not look again until a whole `item_timeout` later, or until the one that is being
called has had its own.
"""

from __future__ import annotations

import time
from typing import Final

from ..alarm import Alarm
from ..base import Host
from . import ending
from .worker import Worker

STOPS_S: Final = 0.1
"""So long a stopped worker is waited for, which stands still within microseconds unless
it is deep in the kernel; then it is killed as it is. A guess."""

LOOK_AGAIN_S: Final = 0.001
"""How often it is looked whether a stopped worker stands still: a guess."""


class Deadlines:
    """Looks after the workers that are at items with an `item_timeout`.

    Args:
        host: The engine.
        workers: All workers; a list that others change.
    """

    def __init__(self, host: Host, workers: list[Worker]) -> None:
        """Begin with nothing to look after."""
        self._workers = workers
        self._alarm = Alarm(host, self._look)
        self._stopped: dict[Worker, float] = {}
        self._found_still: dict[Worker, int] = {}

    def begun(self, worker: Worker) -> None:
        """Look after a worker that was sent a chunk just now."""
        limit_s = _limit_s(worker)
        if limit_s is not None:
            self._alarm.within(limit_s)

    def _look(self) -> None:
        """Look at all workers, and again when the next one may have to be ended."""
        for gone in (self._stopped.keys() | self._found_still) - set(self._workers):
            self._forget(gone)
        for worker in self._workers:
            limit_s = _limit_s(worker)
            if limit_s is None:
                self._leave_alone(worker)
                continue
            judged = worker in self._stopped
            look = self._judge if judged else self._look_at
            again_s = look(worker, limit_s)
            if again_s is not None:
                self._alarm.within(again_s)

    def _look_at(self, worker: Worker, limit_s: float) -> float | None:
        """Stop a worker whose item has had its time; return when to look again."""
        called_s = worker.called_s()
        if called_s is None:
            return self._look_between(worker, limit_s)
        self._found_still.pop(worker, None)
        if called_s < limit_s:
            return limit_s - called_s
        worker.suspend()
        self._stopped[worker] = time.monotonic()
        return self._judge(worker, limit_s)

    def _judge(self, worker: Worker, limit_s: float) -> float | None:
        """Kill a stopped worker, or let it go on; return when to look again."""
        waited_s = time.monotonic() - self._stopped[worker]
        if not ending.is_stopped(worker.pid) and waited_s < STOPS_S:
            return LOOK_AGAIN_S
        self._forget(worker)
        called_s = worker.called_s()
        if called_s is not None and called_s >= limit_s:
            worker.kill_overdue()
            return None
        worker.resume()
        return limit_s if called_s is None else limit_s - called_s

    def _look_between(self, worker: Worker, limit_s: float) -> float | None:
        """Kill a worker that calls nothing, and was stopped by somebody else.

        Not at the first look: debuggers and shells stop processes for a moment.
        """
        if not ending.is_stopped(worker.pid, unless_known=False):
            self._found_still.pop(worker, None)
            return limit_s
        if self._found_still.get(worker) == worker.turn:
            self._forget(worker)
            worker.kill()
            return None
        self._found_still[worker] = worker.turn
        return limit_s

    def _leave_alone(self, worker: Worker) -> None:
        """Have a worker go on that has ended its chunk just when it was stopped."""
        if worker in self._stopped:
            worker.resume()
        self._forget(worker)

    def _forget(self, worker: Worker) -> None:
        self._stopped.pop(worker, None)
        self._found_still.pop(worker, None)


def _limit_s(worker: Worker) -> float | None:
    """Return how long each item may take that it is at; `None`: as long as it likes."""
    if worker.placed is None or worker.doomed:
        return None
    return worker.placed.chunk.job.item_timeout_s
