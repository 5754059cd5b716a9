"""The input of a run: pulled when there is room for more, and never twice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, compress, count, islice, repeat
from operator import length_hint
from typing import Any, Final

from .._backends.base import Item


class Source:
    """Items, in input order, from the iterables that the user gave.

    Attributes:
        total: Items in all; `None` if the iterables do not say, or never end.
        unary: Whether there is one iterable, so that elements need no tuple.
        container: Whether the total was known. Iterables with a length are taken for
            containers, which any thread may go on reading, one after the other; and
            an `itertools.repeat` runs no code of the user's. A generator belongs to
            the thread that began with it.
        taken: Items that were pulled.
        pulling_s: Seconds spent in iterators; slices of lists are not counted, and what
            flows is counted as its calls.
        ended: Whether the input has ended.
        error: What the input raised, if that ended it. Items that came before are
            called, as in a plain loop.
    """

    def __init__(self, iterables: tuple[Iterable[Any], ...]) -> None:
        self.unary = len(iterables) == 1
        self.total = _total(iterables)
        self.container = self.total is not None
        self._iterator: Iterator[Any] = (
            iter(iterables[0]) if self.unary else iter(zip(*iterables, strict=False))
        )
        # These are read in slices: that cannot raise, and their length is what it
        # says, unless somebody changes a list meanwhile.
        first = iterables[0]
        plain = self.container and self.unary and type(first) in _SLICED
        self._plain: Any = first if plain else None
        self._back: deque[Item] = deque()
        self.taken = 0
        self.pulling_s = 0.0
        self.ended = False
        self.error: Exception | None = None

    @property
    def left(self) -> int | None:
        """Items that can still be pulled; `None` if that is not known."""
        if self.ended:
            return len(self._back)
        # A list may have grown meanwhile: a plain loop would go on, too.
        total = self.total if self._plain is None else len(self._plain)
        if total is None:
            return None
        return max(0, total - self.taken) + len(self._back)

    @property
    def out(self) -> int:
        """Items that were pulled, and not put back."""
        return self.taken - len(self._back)

    def block(self, count: int) -> tuple[Iterator[Any], int]:
        """Pull the next elements as they are: tuples only if not `unary`.

        Returns:
            An iterator over them that does not raise, and how many there are: at
            most `count`, fewer only at the end.
        """
        if self.ended:
            return iter(()), 0
        if self._plain is not None:
            part = self._plain[self.taken : self.taken + count]
            number, elements = len(part), iter(part)
        else:
            pulled = self._pull(count)
            number, elements = len(pulled), iter(pulled)
        self.taken += number
        self.ended = number < count
        if self._plain is None and not self.ended:
            self._look_further()
        return elements, number

    def flow(self, most: int) -> Flow:
        """Return up to `most` next elements, each of which is pulled when its turn comes.

        What a generator yields may depend on what was called before: so it is pulled as
        a plain loop does it. Its time counts as that of the calls. Must be given to
        `flowed` when it has been called.
        """
        return Flow(() if self.ended else self._iterator, most)

    def flowed(self, flow: Flow) -> int:
        """Take in that `flow` was called, and return how many elements it had."""
        pulled = flow.pulled
        self.taken += pulled
        self.ended = pulled < flow.most
        return pulled

    def failed(self, exc: BaseException) -> None:
        """Take in that the input raised `exc` while it flowed.

        Raises:
            BaseException: `exc` itself, unless it is an Exception, which ends the input.
        """
        if not isinstance(exc, Exception):
            raise exc
        self.error = exc

    def _look_further(self) -> None:
        """See whether the input ends where its length says that it does."""
        if self.total is None or self.taken < self.total:
            return
        following = self._pull(1)
        if following:
            self.total, self._iterator = None, chain(following, self._iterator)
        else:
            self.ended = True

    def _pull(self, count: int) -> list[Any]:
        elements: list[Any] = []
        began = time.perf_counter()
        try:
            # What came before an exception is in the list then.
            elements.extend(islice(self._iterator, count))
        except Exception as exc:  # noqa: BLE001 - whatever the user's iterable raises
            self.error = exc
        self.pulling_s += time.perf_counter() - began
        return elements

    def next_item(self) -> Item | None:
        """Pull one item; `None` at the end."""
        if self._back:
            return self._back.popleft()
        if self.ended:
            return None
        for element in self.block(1)[0]:
            return Item(self.taken - 1, (element,) if self.unary else element)
        return None

    def put_back(self, items: list[Item]) -> None:
        """Have these come first."""
        self._back.extendleft(reversed(items))


class Flow:
    """Elements that are pulled one by one, and counted; all of it in C, per element.

    Attributes:
        most: How many it has, unless the input ends before.
    """

    def __init__(self, iterable: Iterable[Any], most: int) -> None:
        self.most = most
        self._numbers = count(1)
        self._looks = 1
        # An element comes first, and then its number: one that raises gets none.
        self._elements = compress(islice(iterable, most), self._numbers)

    def __iter__(self) -> Iterator[Any]:
        """Return the one iterator there is: who breaks off may go on with it."""
        return self._elements

    @property
    def pulled(self) -> int:
        """Elements so far."""
        number = next(self._numbers) - self._looks
        self._looks += 1
        return number


_SLICED: Final = (list, tuple, range)
"""Slices of these cost next to nothing, and to make them runs no code of the user's."""


def _total(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """Return the least of their lengths; `None` if they do not say, or never end."""
    try:
        lengths = [_length(one) for one in iterables]
    except Exception:  # noqa: BLE001 - some have a length only if what they wrap has
        return None
    return min((one for one in lengths if one is not None), default=None)


def _length(iterable: Iterable[Any]) -> int | None:
    """Return a length; `None` for an endless `repeat`, which ends no other iterable.

    Raises:
        Exception: If it does not say.
    """
    if type(iterable) is not repeat:
        return len(iterable)  # type: ignore[arg-type]
    hint = length_hint(iterable, -1)  # exact, but for the -1 where there is no end
    return None if hint < 0 else hint
