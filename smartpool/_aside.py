"""Importing a module, or starting a thread, where no signal handler runs meanwhile.

Python runs signal handlers on the main thread, between any two instructions. While a
module is imported that may be inside a callback of the import system, and what is
raised there is dropped with an "Exception ignored in": the Ctrl-C would be lost. What
takes longest to import (asyncio, subprocess, cloudpickle) is loaded when it is first
needed, which is when people press Ctrl-C. So another thread imports it; and another
thread starts those of ours that callers need.
"""

from __future__ import annotations

import _thread
import sys
from functools import partial
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

SIGNAL_S = 0.2
"""How late a Ctrl-C may be noticed, at worst (promise 5 leaves a second): who waits
waits in steps of so much, since a signal that comes just before a wait begins is seen
only when that ends."""

END_S = 0.5
"""How long an import is waited for after an interrupt (promise 5 leaves a second)."""

_loaded: set[str] = set()


def load(name: str) -> None:
    """Import module `name` of this package, so that a Ctrl-C meanwhile is not lost.

    Args:
        name: Dotted, below the package, such as ``"_backends.threads"``.

    Raises:
        Exception: Whatever the import raised.
    """
    # What is in `sys.modules` may be half of it: an interrupt has ended another wait,
    # and the import goes on.
    if name not in _loaded:
        # Not beside the end of the program: what an import executes there would make
        # Python forget that an interrupt ended it, and exit with 1.
        _call(partial(import_module, f"{__package__}.{name}"), after_interrupt_s=END_S)
        _loaded.add(name)


def start(thread: Thread) -> None:
    """Start `thread`, so that a Ctrl-C meanwhile breaks nothing.

    `Thread.start` waits, under a lock, until the thread runs. An interrupt there may
    end in a RuntimeError about that lock, or leave it held, so that the thread waits
    for ever. After an interrupt of this function the thread may run, or not yet.

    Raises:
        RuntimeError: If there can be no more threads.
    """
    _call(thread.start)


def _call(callback: Callable[[], object], after_interrupt_s: float = 0.0) -> None:
    """Call `callback` where no signal handler runs: not on the main thread.

    On the main thread an interrupt ends the wait for it, after `after_interrupt_s`
    seconds at the latest. Where no other thread is to be had, it is called here.
    """
    if _thread.get_ident() != _main_thread():
        callback()
        return
    done, raised = _thread.allocate_lock(), list[BaseException]()
    done.acquire()

    def calling() -> None:
        try:
            callback()
        except BaseException as exc:  # noqa: BLE001 - raised where it was asked for
            raised.append(exc)
        finally:
            done.release()

    try:
        _thread.start_new_thread(calling, ())
    except RuntimeError:  # the program ends, or has too many
        callback()
        return
    try:
        while not done.acquire(timeout=SIGNAL_S):
            pass
    except BaseException:
        done.acquire(timeout=after_interrupt_s)
        raise
    if raised:
        raise raised[0]


def _main_thread() -> int | None:
    """Return the main thread's number; `None` if nobody has asked for threads yet."""
    threading = sys.modules.get("threading")
    return None if threading is None else threading.main_thread().ident
