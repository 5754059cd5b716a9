"""Pickling anew, by value, what a worker could not load by name.

It runs code of the user, so it happens on a thread of its own, that ends with it.
Meanwhile the chunk waits here. Each module is tried once, so it ends.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from threading import Thread

from ..._errors import NotPicklableError
from ..._outcome import Error, Outcome
from ..._worker import wire
from ..base import Chunk, Host, Job
from .payloads import Encoded, Function, encode_args, prepare_by_value
from .worker import Placed

GiveBack = Callable[[Placed, Outcome | None], None]


class ByValue:
    """Chunks whose function or arguments are being pickled anew.

    Args:
        host: The engine.
        give_back: Called on its thread with each chunk that can be sent again, or
            with what became of its next item instead.
    """

    def __init__(self, host: Host, give_back: GiveBack) -> None:
        """Begin with none."""
        self._host = host
        self._give_back = give_back
        self._waiting: set[Placed] = set()
        self._functions: dict[int, list[Placed]] = {}

    def take(self, what: Job | Chunk | None = None) -> list[Placed]:
        """Take back the chunks of a job, or one chunk, or all."""
        taken = [placed for placed in self._waiting if placed.is_of(what)]
        self._waiting.difference_update(taken)
        return taken

    def function(
        self, placed: Placed, content: bytes, module: str, error: bytes
    ) -> None:
        """Deal with a function, called `content`, that a worker could not load.

        `module` is what it lacks, or has in another form: then `error` is empty.
        """
        job, function = placed.chunk.job, placed.function
        if function.content != content:  # it has been pickled anew already
            self._give_back(placed, None)
            return
        if not function.by_name and (not module or module in function.by_value):
            self._give_back(placed, Encoded(wire.ERROR, memoryview(error)))
            return
        self._waiting.add(placed)
        others = self._functions.setdefault(job.id, [])
        others.append(placed)
        if len(others) == 1:
            self._aside(
                lambda: _replace_function(job, module),
                lambda: self._functions.pop(job.id),
            )

    def arguments(self, placed: Placed, module: str, error: memoryview) -> None:
        """Deal with the next item's arguments, for which a worker lacks `module`."""
        if module in placed.missing or module not in sys.modules:
            self._give_back(placed, Encoded(wire.ERROR, error))
            return
        placed.missing |= {module}
        self._waiting.add(placed)
        self._aside(lambda: _replace_arguments(placed), lambda: [placed])

    def _aside(
        self, work: Callable[[], None], waiting: Callable[[], list[Placed]]
    ) -> None:
        """Do `work` on another thread; then give back what waits for it."""

        def run() -> None:
            failure: Outcome | None = None
            try:
                work()
            except BaseException as exc:  # noqa: BLE001 - user code, its item's outcome
                failure = Error(exc)
            self._host.post(lambda: self._done(waiting(), failure))

        try:
            Thread(target=run, name="smartpool by value", daemon=True).start()
        except RuntimeError as exc:  # no thread to be had
            self._done(waiting(), Error(exc))

    def _done(self, waiting: list[Placed], failure: Outcome | None) -> None:
        for placed in waiting:
            if placed in self._waiting:  # else it was taken back meanwhile
                self._waiting.remove(placed)
                self._give_back(placed, failure)


def _replace_function(job: Job, module: str) -> None:
    function: Function = job.function
    job.function = prepare_by_value(job, function, module)


def _replace_arguments(placed: Placed) -> None:
    """Pickle all items that are left: they probably need the same."""
    first, *rest = placed.chunk.items[placed.next :]
    first.payload = encode_args(first, placed.missing)
    for item in rest:
        with contextlib.suppress(NotPicklableError):  # told when its turn comes
            item.payload = encode_args(item, placed.missing)
