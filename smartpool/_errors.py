"""The errors and the warning that smartpool raises of its own accord.

::

    SmartPoolError
    ├── WorkerCrashError     (also a concurrent.futures.process.BrokenProcessPool)
    ├── NotPicklableError    (also a TypeError and a pickle.PicklingError)
    └── PoolClosedError      (also a RuntimeError)
    SmartPoolWarning

What `fn` raises is never wrapped: it keeps its type, and gets a note that names
its item. Wrong arguments are plain `TypeError` and `ValueError`.

*Crash* means that the worker's process ended while it was calling an item, by
whatever cause; *closed* means that you closed the pool.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pickle import PicklingError
else:
    try:  # the C half alone: `pickle` would load `re` and 4 ms with it
        from _pickle import PicklingError
    except ImportError:
        from pickle import PicklingError

_COMPLETED: Final = "_smartpool_completed"


class SmartPoolError(Exception):
    """Base class of the errors that smartpool raises of its own accord."""


class NotPicklableError(SmartPoolError, TypeError, PicklingError):
    """Something that had to travel to a worker process, or back, cannot be pickled."""


class PoolClosedError(SmartPoolError, RuntimeError):
    """The pool was closed by you, or by the end of the program."""


class SmartPoolWarning(UserWarning):
    """Base class of all warnings of smartpool: silence or escalate it in one line."""


class Completed(dict[int, Any]):
    """The finished results of a run, riding on the exception that ended it.

    It becomes an empty one when the exception is pickled: results of a run that
    failed inside a worker must not travel along with the error.
    """

    def __reduce__(self) -> tuple[type[Completed], tuple[()]]:
        """Pickle as an empty mapping."""
        return Completed, ()


def remember_completed(exc: BaseException, results: dict[int, Any]) -> None:
    """Let `completed(exc)` return `results`, whatever `exc` thinks of attributes."""
    with suppress(Exception):  # a class may even hide its `__dict__`
        exc.__dict__[_COMPLETED] = Completed(results)


def completed(exc: BaseException) -> dict[int, Any]:
    """Return the finished results of the run that `exc` ended, by item index.

    Args:
        exc: An exception that came out of a call of smartpool.

    Returns:
        Item index (from 0, in input order) to what `fn` returned for it. Empty
        for an exception that did not end a run.
    """
    return dict(exc.__dict__.get(_COMPLETED, ()))
