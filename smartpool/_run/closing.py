"""Closing a pool on a thread of its own.

A caller's thread may be interrupted between any two instructions, and a finalizer may
run on a thread that holds whatever closing needs: neither closes anything itself.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from contextlib import suppress

from .._aside import SIGNAL_S, start
from .._lock import Lock


class Closing:
    """Has the pool closed, once at a time, however often it is asked for.

    Args:
        close: Closes it. A second call does what an interrupted one has left.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self.lock = Lock()
        self._close = close

    def wait(self) -> None:
        """Have it closed, and wait for that. An interrupt ends the wait alone.

        Where no thread is to be had, at the end of a program for one, it is done
        here.

        Raises:
            Exception: Whatever `close` raised.
        """
        raised: list[Exception] = []

        def closing() -> None:
            try:
                self._once_at_a_time()
            except Exception as exc:  # noqa: BLE001 - raised on the caller's thread
                raised.append(exc)

        try:
            thread = _aside(closing)
        except RuntimeError:
            self._once_at_a_time()
            return
        while thread.is_alive():
            thread.join(SIGNAL_S)
        if raised:
            raise raised[0]

    def begin(self) -> None:
        """Have it closed without a wait or a lock: for finalizers, on any thread."""
        with suppress(RuntimeError):  # the program ends: what there is goes with it
            # `Thread.start` waits, and under a lock that this thread may hold.
            _thread.start_new_thread(_aside, (self._once_at_a_time,))

    def _once_at_a_time(self) -> None:
        with self.lock:
            self._close()


def _aside(closing: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=closing, name="smartpool-close", daemon=True)
    start(thread)
    return thread
