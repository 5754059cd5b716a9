"""Importing a module of ours where no signal handler runs in the middle of it.

Python runs signal handlers on the main thread, between any two instructions. While a
module is imported that may be inside a callback of the import system, and what is
raised there is dropped with an "Exception ignored in": the Ctrl-C would be lost. What
takes longest to import (asyncio, subprocess, cloudpickle) is loaded when it is first
needed, which is when people press Ctrl-C. So another thread imports it.
"""

import _thread
import sys
from importlib import import_module

SIGNAL_S = 0.2
"""How late a Ctrl-C may be noticed, at worst (promise 5 leaves a second): who waits
waits in steps of so much, since a signal that comes just before a wait begins is seen
only when that ends."""

END_S = 0.5
"""How long the import is waited for after an interrupt (promise 5 leaves a second)."""


def load(name: str) -> None:
    """Import module `name` of this package, so that a Ctrl-C meanwhile is not lost.

    Args:
        name: Dotted, below the package, such as ``"_backends.threads"``.

    Raises:
        Exception: Whatever the import raised.
    """
    full = f"{__package__}.{name}"
    if full in sys.modules or _thread.get_ident() != _main_thread():
        import_module(full)
        return
    done, raised = _thread.allocate_lock(), list[BaseException]()
    done.acquire()

    def importing() -> None:
        try:
            import_module(full)
        except BaseException as exc:  # noqa: BLE001 - raised where it was asked for
            raised.append(exc)
        finally:
            done.release()

    try:
        _thread.start_new_thread(importing, ())
    except RuntimeError:  # no thread is to be had: the program ends, or has too many
        import_module(full)
        return
    try:
        while not done.acquire(timeout=SIGNAL_S):
            pass
    except BaseException:
        # Not beside the end of the program: what an import executes there would make
        # Python forget that an interrupt ended it, and exit with 1.
        done.acquire(timeout=END_S)
        raise
    if raised:
        raise raised[0]


def _main_thread() -> int | None:
    """Return the main thread's number; `None` if nobody has asked for threads yet."""
    threading = sys.modules.get("threading")
    return None if threading is None else threading.main_thread().ident
