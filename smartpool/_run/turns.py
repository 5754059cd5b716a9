"""Code of the user's, one call after the other, on a thread of its own.

A future is over in a step of the engine, which runs no code of the user's. So what was
added with `add_done_callback` before that is called on such a thread, in the order in
which the futures were over, as by the thread of a `ProcessPoolExecutor`. On another one
log records and warnings of single calls are handled: a callback may wait for a call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from .. import _fork
from .._lock import Lock

LINGER_S: Final = 0.1
"""So long the thread waits for more before it goes. A guess: a start costs 0.1 ms."""


class Turns:
    """A queue, and a thread that is there while something is in it.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._left = 0
        self._renew()
        _fork.register(self)

    def call(self, callback: Callable[[], object]) -> None:
        """Have `callback` called soon. It must not raise.

        Where there can be no thread, as at the end of the program, `drain` calls it.
        """
        with self._lock:
            self._waiting.put(callback)
            self._left += 1
            if self._thread is None:
                thread = threading.Thread(
                    target=self._serve, name=self._name, daemon=True
                )
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def drain(self) -> None:
        """Wait until all have been called; not on their own thread."""
        while self._left and threading.current_thread() is not self._thread:
            if self._thread is None:
                self._call_one(0.0)
            else:
                self._done.wait(LINGER_S)

    def after_fork_in_child(self) -> None:
        """Begin anew: the thread is not here, and the lock may be held."""
        self._renew()

    def _renew(self) -> None:
        self._lock = Lock()
        self._waiting: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._thread = None
        self._done = threading.Event()
        self._left = 0

    def _serve(self) -> None:
        while self._call_one(LINGER_S) or not self._leave():
            pass

    def _call_one(self, timeout_s: float) -> bool:
        """Call what has waited longest; return false if there is nothing in time."""
        try:
            callback = self._waiting.get(timeout=timeout_s)
        except Empty:
            return False
        callback()
        del callback
        with self._lock:
            self._left -= 1
        if not self._left:
            self._done.set()
            self._done.clear()
        return True

    def _leave(self) -> bool:
        with self._lock:
            if not self._waiting.empty():
                return False
            self._thread = None
            return True


callbacks: Final = Turns("smartpool-callbacks")
saying: Final = Turns("smartpool-said")
