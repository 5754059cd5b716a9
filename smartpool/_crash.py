"""`WorkerCrashError`, in a module of its own.

It is a `BrokenProcessPool`, so that code written for the standard library's pools
catches it. That class's module pulls in `multiprocessing`, which takes longer to
import than all of smartpool: so this module is imported when a worker has died, or
when somebody names the class.
"""

from __future__ import annotations

import logging
import signal
from concurrent.futures.process import BrokenProcessPool

from ._errors import SmartPoolError


class WorkerCrashError(SmartPoolError, BrokenProcessPool):
    """The worker process that was calling this item died.

    Attributes:
        index: The item's index in the input, from 0; `None` if the worker died
            before it called any.
        exit_code: What the process exited with; `None` if a signal ended it, or
            if it is not known.
        signal: The name of the signal that ended it, such as ``"SIGKILL"``, or
            `None`.
    """

    def __init__(
        self,
        index: int | None,
        exit_code: int | None = None,
        signal: str | None = None,
    ) -> None:
        """Say which item it was, and how the worker ended."""
        super().__init__(index, exit_code, signal)
        self.index = index
        self.exit_code = exit_code
        self.signal = signal

    def __str__(self) -> str:
        """Return the sentence, made of the attributes."""
        what = "before it called an item"
        if self.index is not None:
            what = f"while it was calling item {self.index}"
        return f"a worker process {self._how()} {what}"

    def _how(self) -> str:
        if self.signal is not None:
            return f"was ended by {self.signal}"
        if self.exit_code is not None:
            return f"exited with code {self.exit_code}"
        return "died, in an unknown way,"


class InitializerError(WorkerCrashError):
    """The pool's initializer raised in a worker: the pool calls nothing any more.

    Its `__cause__` is what the initializer raised.
    """

    def __init__(self, what: str, where: str) -> None:
        """Keep what it raised, as text, and where."""
        super().__init__(None)
        self.args = (what, where)

    def __str__(self) -> str:
        """Return the sentence."""
        what, where = self.args
        return f"the pool is broken, its initializer failed in a {where}: {what}"


def initializer_error(
    cause: BaseException, where: str, *, log: bool
) -> InitializerError:
    """Make the error of a pool whose initializer raised `cause`, and log it if asked.

    Where executors of the standard library log it: nobody may ever ask for a result.
    """
    if log:
        logger = logging.getLogger("concurrent.futures")
        logger.critical("Exception in initializer:", exc_info=cause)
    error = InitializerError(repr(cause), where)
    error.__cause__ = cause
    return error


def crash_error(index: int | None, returncode: int | None) -> WorkerCrashError:
    """Make the error from a `subprocess` return code; `None` is unknown."""
    if returncode is None or returncode >= 0:
        return WorkerCrashError(index, exit_code=returncode)
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return WorkerCrashError(index, signal=name)
