"""What is on its way to the reader of a run: results, and what ended it early."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from .._backends.base import Item
from .._outcome import Error, Outcome
from . import notes

Batch = tuple[Sequence[int], list[Any]]
"""Indices of items, and what became of them, in the same order."""


class Delivery:
    """Results that were heard of and not yet read.

    Attributes:
        error: The first failure that ends the run, if there was one.
        delivered: Items that the reader has read, where it counts them.
    """

    def __init__(self, *, return_exceptions: bool) -> None:
        self.return_exceptions: bool = return_exceptions
        self.error: BaseException | None = None
        self.delivered: int = 0
        self._ready: deque[Batch] = deque()

    def add(self, indices: Sequence[int], values: list[Any]) -> None:
        """Add results."""
        if values:
            self._ready.append((indices, values))

    def drain(self) -> Iterator[Batch]:
        """Yield and drop what is there."""
        while self._ready:
            yield self._ready.popleft()

    def fail(self, exc: BaseException) -> None:
        """End the run with `exc`, unless something has ended it before."""
        if self.error is None:
            self.error = exc

    def raise_error(self) -> None:
        """Raise what ended the run, if something did."""
        if self.error is not None:
            raise self.error

    def take(self, outcomes: list[tuple[Item, Outcome]]) -> None:
        """Take in outcomes: results, and errors as results or as the end."""
        indices, values = list[int](), list[Any]()
        try:
            for item, outcome in outcomes:
                loaded = outcome.load()
                if not isinstance(loaded, Error):
                    value = loaded.value
                elif not self.take_error(loaded.error, item.index, item.args):
                    continue
                else:
                    value = loaded.error
                indices.append(item.index)
                values.append(value)
        finally:  # an interrupt must not take along what was loaded before it
            self.add(indices[: len(values)], values)

    def take_error(self, exc: BaseException, index: int, args: tuple[Any, ...]) -> bool:
        """Name the item that raised; return whether its error is its result."""
        notes.name_item(exc, index, args)
        if not self.return_exceptions:
            self.fail(exc)
        return self.return_exceptions
