"""The errors and the warning that smartpool raises of its own accord.

::

    SmartPoolError
    ├── WorkerCrashError     (also a concurrent.futures.process.BrokenProcessPool)
    ├── ItemTimeoutError     (also a TimeoutError)
    ├── RunTimeoutError      (also a TimeoutError)
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


class ItemTimeoutError(SmartPoolError, TimeoutError):
    """The call of this item took longer than `item_timeout`, and was stopped.

    Attributes:
        index: The item's index in the input, from 0.
        item_timeout: Seconds that the call was given.
    """

    def __init__(self, index: int, item_timeout: float) -> None:
        """Say which item it was, and how long it was given."""
        # One argument: of two an OSError, which a TimeoutError is, makes an errno.
        super().__init__(
            f"the call of item {index} took longer than item_timeout={item_timeout:g}"
        )
        self.index = index
        self.item_timeout = item_timeout

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a call of the class."""
        return type(self), (self.index, self.item_timeout), self.__dict__


class RunTimeoutError(SmartPoolError, TimeoutError):
    """The run took longer than `timeout`, and was stopped.

    Attributes:
        timeout: Seconds that the run was given.
        finished: Items that were finished; those that nobody has read yet are in
            ``completed(error)``.
    """

    def __init__(self, timeout: float, finished: int = 0) -> None:
        """Say how long the run was given, and how far it came."""
        super().__init__(timeout)
        self.timeout = timeout
        self.finished = finished

    def __str__(self) -> str:
        """Return the sentence, made of the attributes."""
        items = "1 item was" if self.finished == 1 else f"{self.finished} items were"
        return f"the run took longer than timeout={self.timeout:g}; {items} finished"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a call of the class."""
        return type(self), (self.timeout, self.finished), self.__dict__


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
