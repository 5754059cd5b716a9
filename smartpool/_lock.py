"""A lock that no interrupt leaves held: for threads of callers."""

from __future__ import annotations

import _thread
import os


class Lock(_thread.RLock):  # type: ignore[misc]  # final to type checkers alone
    """Use it in a `with`, wherever the main thread may.

    On Python 3.14 a signal handler may run between the `__enter__` of a lock and the
    block: what it raises, such as KeyboardInterrupt, leaves a `threading.Lock` held
    for ever (github.com/python/cpython/issues/148874; not on 3.13 and 3.15, measured).

    Guarantee: who leaves a `with` of this lock, however, does not hold it any more.
    It rests on three facts. Who has a re-entrant lock is noted in the lock itself, in
    the same step in which it is acquired, so an interrupt of `acquire` can be told
    from one after it. A function in Python, such as `__enter__`, is not interrupted as
    it returns. `__exit__`, which is not in Python, lets go before anything else.
    """

    def __enter__(self) -> bool:  # type: ignore[override]  # called without arguments
        """Acquire it, or leave it as it was."""
        try:
            return self.acquire()
        except BaseException:
            self.let_go()
            raise

    def is_mine(self) -> bool:
        """Return whether this thread holds it."""
        return bool(self._is_owned())  # type: ignore[attr-defined]

    def let_go(self) -> None:
        """Release it if this thread holds it: after an `acquire` without a `with`."""
        if self._is_owned():  # type: ignore[attr-defined]
            self.release()


fork_guard = Lock()
"""Held while descriptors come into being, until their owner knows them.

A fork on another thread waits for it, so that no child has a descriptor of ours that
nobody would close there. Hold it for milliseconds only, and never wait under it.
"""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=fork_guard.acquire,
        after_in_parent=fork_guard.release,
        after_in_child=fork_guard.release,
    )
