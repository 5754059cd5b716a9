"""`Stream`: results one by one, as they are read."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar

from .._report.report import Report
from . import notes
from .drive import Drive

R = TypeVar("R")


class Stream(Iterator[R], Generic[R]):
    """An iterator over the results of a run that goes on while it is read.

    It holds a bounded number of items and results, and pulls input only when it is
    read. Leave its `with` block, or `close` it, and the run is over: nothing of it is
    still called then (a call on a thread that cannot be stopped is let go).

    Not to be read by two threads at once.
    """

    def __init__(
        self, drive: Drive, *, ordered: bool, keeps: object | None = None
    ) -> None:
        """Read the results of `drive`. Made by `stream_parallel`.

        Args:
            drive: The run.
            ordered: Whether results come in input order.
            keeps: What must live as long: its pool, which is closed with its last user.
        """
        self._drive = drive
        self._keeps = keeps
        self._batches = drive.batches()
        self._ordered = ordered
        self._ready: deque[tuple[int, Any]] = deque()
        self._early: dict[int, Any] = {}
        self._next = 0
        self._closed = False

    @property
    def report(self) -> Report:
        """What was decided, why, and what it has cost so far.

        Until enough items have been measured for a decision, its plan is serial, and
        the rule is ``measuring``.
        """
        return self._drive.report

    def __iter__(self) -> Self:
        """Return this."""
        return self

    def __next__(self) -> R:
        """Return the next result.

        Raises:
            StopIteration: After the last result, and after `close`.
            RuntimeError: If `fn` raised StopIteration, which would end the loop
                that reads this without a word.
            Exception: Whatever `fn` raises, with a note that names the item. The
                stream is closed then.
        """
        while not self._ready:
            self._read_on()
        index, value = self._ready.popleft()
        self._next = index + 1
        self._drive.delivery.delivered += 1
        return value  # type: ignore[no-any-return]

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self._close(exc_type)

    def close(self) -> None:
        """End the run and drop what was not read. Nothing if it is over already."""
        self._close(None)

    def __del__(self) -> None:
        """Close it: a run that nobody can read goes on for nobody."""
        if not getattr(self, "_closed", True):
            self._drive.abandon()

    def _read_on(self) -> None:
        if self._closed:
            raise StopIteration
        before = sys.exception()
        try:
            batch = next(self._batches, None)
        except BaseException as exc:
            notes.leave_alone(exc, before)
            self._close(type(exc))
            raise
        if batch is None:
            self._end()
        indices, values = batch
        if self._ordered:
            self._put_in_order(indices, values)
        else:
            self._ready.extend(zip(indices, values, strict=True))

    def _close(self, exc_type: type[BaseException] | None) -> None:
        if not self._closed:
            self._closed = True
            self._ready, self._early = deque(), {}
            self._batches.close()
            self._drive.close(exc_type)

    def _put_in_order(self, indices: Any, values: list[Any]) -> None:  # noqa: ANN401
        self._early.update(zip(indices, values, strict=True))
        following = self._ready[-1][0] + 1 if self._ready else self._next
        while following in self._early:
            self._ready.append((following, self._early.pop(following)))
            following += 1

    def _end(self) -> NoReturn:
        """Raise what ended the run: its error, or StopIteration."""
        error, early = self._drive.delivery.error, self._early
        self.close()
        if error is None:
            self._drive.check_complete(self._drive.delivery.delivered)
            raise StopIteration
        notes.name_completed(error, early)
        self._drive.tell_finished(self._drive.delivery.delivered + len(early))
        if isinstance(error, StopIteration):
            raise RuntimeError("fn raised StopIteration") from error  # noqa: TRY004
        raise error
