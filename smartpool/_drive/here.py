"""Calling items on the caller's own thread: the probe's, serial work, and help."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from .._backends.base import Item
from .._backends.serial import call_each
from .._run.source import Flow, Source
from .delivery import Delivery
from .unawaited import refusal


class Here:
    """Calls items here, and counts what that takes.

    Attributes:
        calls: Items called so far.
        busy_s: Seconds spent in them.
    """

    def __init__(
        self, fn: Callable[..., Any], source: Source, delivery: Delivery
    ) -> None:
        self._fn = fn
        self._source = source
        self._delivery = delivery
        self.calls = 0
        self.busy_s = 0.0

    @property
    def item_s(self) -> float | None:
        """Seconds an item took, on average; `None` before the first."""
        return self.busy_s / self.calls if self.calls else None

    @property
    def loop_s(self) -> float:
        """Seconds a plain loop would have taken for them, and to pull all input."""
        return self.busy_s + self._source.pulling_s

    def call(self, elements: Iterable[Any], first: int, values: list[Any]) -> float:
        """Call elements and append what they return to `values`.

        An item that raises ends it, and the run; or its exception is its value.

        Args:
            elements: A `Flow`, or an iterator that does not raise.
            first: The index of the first of them.
            values: Where to append.

        Returns:
            Seconds that it took.
        """
        unary, before = self._source.unary, len(values)
        began = time.perf_counter()
        while failure := call_each(self._fn, elements, values, unary=unary):
            exc, argument = failure
            # All that were pulled are finished: then it was the next one's pulling.
            if isinstance(elements, Flow) and elements.pulled == len(values) - before:
                self._source.failed(exc)
                break
            args = (argument,) if unary else argument
            if not self._take_error(exc, first + len(values) - before, args):
                break
            values.append(exc)
        took_s = time.perf_counter() - began
        if not self.calls:
            self._look_at_the_first(values, before)
        self._count(len(values) - before, took_s)
        return took_s

    def call_item(self, item: Item) -> None:
        """Call one item and deliver what became of it."""
        values, began = list[Any](), time.perf_counter()
        failure = call_each(self._fn, iter([item.args]), values, unary=False)
        self._count(1, time.perf_counter() - began)
        if failure and self._take_error(failure[0], item.index, item.args):
            values.append(failure[0])
        self._delivery.add([item.index], values)

    def _look_at_the_first(self, values: list[Any], at: int) -> None:
        """End the run if what its first call returned is for nobody to await."""
        error = refusal(self._fn, iter(values[at:]))
        if error is not None:
            del values[at:]
            self._delivery.fail(error)

    def _take_error(
        self, exc: BaseException, index: int, args: tuple[Any, ...]
    ) -> bool:
        if isinstance(exc, KeyboardInterrupt):
            raise exc  # the user's: it ends the run, whatever was asked for
        return self._delivery.take_error(exc, index, args)

    def _count(self, calls: int, took_s: float) -> None:
        self.calls += calls
        self.busy_s += took_s
