"""`CallFuture`: what `submit` returns.

It is over in a step of the engine, where no code of the user's may run; so what came
from a worker is unpickled by whoever asks for it first, and callbacks go to a thread of
their own. A call that runs in a worker process or on the event loop can be cancelled:
so the state that the base class calls `RUNNING`, and refuses to cancel, is used for
calls on threads alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .._aside import SIGNAL_S
from .._lock import Lock
from .._outcome import Error, Outcome, Value
from .._run.turns import callbacks

if TYPE_CHECKING:
    from .._run.calls import Call
    from .submitting import Submitting

R = TypeVar("R")

_LOGGER = logging.getLogger("concurrent.futures")  # where people look for it


class _Condition(Lock):  # type: ignore[misc]
    """A `threading.Condition`, as far as a future uses one, that no interrupt breaks.

    That class's own `__enter__` and `__exit__` are functions in Python: a KeyboardInterrupt
    in one of them leaves the lock held, and the engine would wait for it for ever.
    """

    _waited: threading.Condition | None = None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for `notify_all`; return whether it came in time."""
        if self._waited is None:
            self._waited = threading.Condition(self)
        return self._waited.wait(timeout)

    def notify_all(self) -> None:
        """Wake all that wait, and let go of what only they need, which refers to this."""
        waited, self._waited = self._waited, None
        if waited is not None:
            waited.notify_all()


class CallFuture(Future[R], Generic[R]):
    """The outcome of one call, now or later.

    A `concurrent.futures.Future` in all, with one thing more: `cancel` also stops a
    call that goes on, by ending its worker process or its coroutine.

    Attributes:
        stayed: Whether it came to nothing because its arguments could not travel.
    """

    def __init__(self, submitting: Submitting) -> None:
        """Begin without an outcome. Made by `submit`."""
        super().__init__()
        self._condition = _Condition()  # type: ignore[assignment]  # all that is used
        # Also keeps the pool, which is closed with its last user, until this is over.
        self._submitting: Submitting | None = submitting
        self._call: Call | None = None
        self._loading = Lock()
        self._loaded: Value | Error | None = None
        self._begun = self._told = self._called_back = False
        self.stayed = False
        self._stepping: int | None = None

    def belongs_to(self, call: Call) -> None:
        """Take in which call this is of."""
        self._call = call

    # -- for users -------------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel the call, also while it goes on; a call on a thread cannot be.

        Returns:
            Whether it is cancelled: false if it was over, or cannot be stopped.
        """
        if not super().cancel():
            return False
        with self._condition:
            first, self._told = not self._told, True
        if first:
            self.set_running_or_notify_cancel()  # those who wait for several
            self._let_go(cancelled=True)
        return True

    def running(self) -> bool:
        """Return whether it is being called."""
        return self._begun and not self.done()

    def result(self, timeout: float | None = None) -> R:
        """Return what the call returned; wait for that, if need be.

        Args:
            timeout: Seconds to wait at most; `None` waits for as long as it takes.

        Raises:
            TimeoutError: If the time is up. The call goes on.
            CancelledError: If it was cancelled.
            WorkerCrashError: If the worker died during the call.
            NotPicklableError: If something had to travel, and cannot.
            BaseException: Whatever the call raised.
        """
        outcome = self._outcome(timeout)
        try:
            if isinstance(outcome, Error):
                raise outcome.error
            return outcome.value  # type: ignore[no-any-return]
        finally:
            del outcome, self  # or the traceback would keep itself alive

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised, or `None`; wait for that, if need be.

        Args:
            timeout: As in `result`.

        Raises:
            TimeoutError: If the time is up. The call goes on.
            CancelledError: If it was cancelled.
        """
        outcome = self._outcome(timeout)
        return outcome.error if isinstance(outcome, Error) else None

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Have ``fn(self)`` called when this is over.

        At once, right here, if it is over; by the thread that cancels it; else on a
        thread of smartpool's own that serves all callbacks in turn.
        """
        self._called_back = True
        super().add_done_callback(partial(_called_back, fn))

    # -- for the engine: Listener ----------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether it is not over."""
        return not self.done()

    @property
    def quiet(self) -> bool:
        """Whether nobody is to be told of its end but who waits for it."""
        return not (self._called_back or self._waiters)

    def begin(self, *, stoppable: bool) -> bool:
        """Take in that it is called now, unless it was cancelled."""
        if stoppable:
            self._begun = True
            return not self.done()  # who cancels it just now ends the call as well
        with self._condition:
            if self.done():
                return False
            self._begun = True
            if not super().running():
                self.set_running_or_notify_cancel()
        return True

    def settle(self, outcome: Outcome) -> None:
        """Take in what became of the call; nothing if it was cancelled."""
        self._let_go(cancelled=False)
        self._stepping = get_ident()
        try:
            if outcome.failed:
                self.set_exception(outcome)  # type: ignore[arg-type]  # loaded later
            else:
                self.set_result(outcome)  # type: ignore[arg-type]
        except InvalidStateError:
            pass
        finally:
            self._stepping = None

    def abandon(self, error: BaseException) -> None:
        """After a fork, in the child: fail. Another thread may have held the lock."""
        self._condition = _Condition()  # type: ignore[assignment]
        self._loading = Lock()
        self.settle(Error(error))

    # -- inside ----------------------------------------------------------------------

    def _let_go(self, *, cancelled: bool) -> None:
        """Let the pool and the call go: they are not needed once this is over.

        The pool is told before: who is interrupted here comes once more.
        """
        submitting, call = self._submitting, self._call
        if submitting is not None and call is not None:
            submitting.over(self, call if cancelled else None)
        self._submitting = self._call = None

    def _outcome(self, timeout: float | None) -> Value | Error:
        if self._loaded is None:
            self._wait(timeout)
            self._load()
        assert self._loaded is not None
        return self._loaded

    def _wait(self, timeout: float | None) -> None:
        """Wait in steps: a signal that comes just before one is seen at its end."""
        call = self._call
        if call is not None and (direct := call.direct) is not None:
            began_s = time.monotonic()
            direct(timeout)
            if self._result is not None or self._exception is not None:
                return
            if timeout is not None:
                timeout = max(0.0, timeout - (time.monotonic() - began_s))
        if timeout is not None:
            super().exception(timeout)
            return
        while True:
            try:
                super().exception(SIGNAL_S)
            except TimeoutError:
                continue
            return

    def _load(self) -> None:
        with self._loading:
            if self._loaded is not None:
                return
            outcome: Any = self._exception or self._result
            loaded = outcome.load()
            # What the base class tells of itself is true from here on.
            error = isinstance(loaded, Error)
            self._exception = loaded.error if error else None
            self._result = None if error else loaded.value
            self._loaded = loaded

    def _get_snapshot(self) -> Any:  # noqa: ANN401 - asyncio's way in, since 3.14
        if self.done() and not self.cancelled():
            self._load()
        return super()._get_snapshot()  # type: ignore[misc]


def _called_back(fn: Callable[[Future[R]], object], future: Future[R]) -> None:
    """Call `fn`, here or on the thread for callbacks."""
    assert isinstance(future, CallFuture)
    if future._stepping == get_ident():  # noqa: SLF001 - its other half
        callbacks.call(partial(_logged, fn, future))
    else:
        fn(future)


def _logged(fn: Callable[[Future[R]], object], future: Future[R]) -> None:
    try:
        fn(future)
    except Exception:
        _LOGGER.exception("exception calling callback for %r", future)
    except BaseException:  # it has nobody to end here
        _LOGGER.critical("exit in a callback for %r", future, exc_info=True)
