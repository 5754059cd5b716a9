"""Feeding a run in the engine: pull input, encode it, hand it on, within bounds."""

from __future__ import annotations

import sys
import time
from typing import Final

from .._backends.base import Item
from .._errors import NotPicklableError
from .._outcome import Error
from .._run.run import Run
from .parts import Parts

FEED_S: Final = 0.005
"""Input is handed on after so long, so that workers do not wait for all of it; and what
has come meanwhile is looked at, so that an error ends it. A guess."""

FEED_ITEMS: Final = 256
"""Or after so many items: a guess."""

WINDOWS: Final = 2
"""Without a bound of the user's, a stream runs this many rounds of input ahead of its
reader: one that is read, one that is called. A guess."""


class Feeding:
    """Feeds one run, on the thread that drives it."""

    def __init__(self, parts: Parts, run: Run) -> None:
        self._parts = parts
        self._run = run
        self._options = parts.options
        self._source = parts.source
        self._wanted = self._round = run.input_wanted()
        self._taken_back = 0
        self._ended = False

    def want(self, count: int) -> None:
        """Take in that the run would like `count` more items."""
        self._wanted = self._round = count

    def take_back(self, items: list[Item]) -> None:
        """Take items back that have to be fed again, for another backend."""
        self._source.put_back(items)
        self._taken_back += len(items)
        self._wanted = max(self._wanted, len(items))
        self._ended = False

    def top_up(self) -> None:
        """Feed what the run wants, as far as the reader's window allows."""
        count = min(self._wanted, self._room())
        if count <= 0 or self._ended or self._parts.failed:
            return
        if self._options.lazy and count < self._wanted // 4 and self._outstanding():
            return  # wait for room for more at once
        self._wanted = 0
        self._pull_and_feed(count)

    def next_to_help(self) -> Item | None:
        """Return an item to be called here instead; `None` if there is none.

        It is ahead of the reader as much as one that is fed.
        """
        if self._ended or self._room() <= 0:
            return None
        return self._source.next_item()

    def _pull_and_feed(self, count: int) -> None:
        began = since = time.perf_counter()
        fed: list[Item] = []
        for left in range(count, 0, -1):
            if not fed and self._is_news(began):
                self._wanted = left
                return
            item = self._source.next_item()
            if item is None:
                break
            if self._encode(item):
                fed.append(item)
            elif self._parts.failed:
                return
            if fed and self._is_time(fed, since):
                self._feed(fed, more=True)
                fed, since = [], time.perf_counter()
        self._ended = self._source.left == 0
        self._feed(fed, last=self._ended)

    def _is_news(self, began: float) -> bool:
        """Return whether to see what has come before more is pulled.

        It may be an error, after which nothing more is to be pulled, or a result that
        somebody waits for. Not at once: input that comes quickly would be pulled item
        by item.
        """
        return not self._run.inbox.empty() and time.perf_counter() - began > FEED_S

    def _is_time(self, fed: list[Item], since: float) -> bool:
        """Return whether what was pulled should not wait for what follows.

        A generator may take its time for the next item, or wait for what becomes of
        this one.
        """
        if not self._source.container or len(fed) >= FEED_ITEMS:
            return True
        return time.perf_counter() - since > FEED_S

    def _feed(
        self, items: list[Item], *, more: bool = False, last: bool = False
    ) -> None:
        self._parts.engine.feed(
            self._run, items, more=more, last=last, taken_back=self._taken_back
        )

    def _room(self) -> int:
        """Return how many more items may be called ahead of the reader."""
        window = self._options.window
        if window is None:
            if not self._options.lazy:
                return sys.maxsize
            window = WINDOWS * max(self._round, self._run.tenant.most)
        return window - self._outstanding()

    def _outstanding(self) -> int:
        return self._source.out - self._parts.delivery.delivered

    def _encode(self, item: Item) -> bool:
        """Make `item` ready to travel; return whether it is to be fed."""
        backend = self._run.backend
        if not backend.travels or item.payload is not None:
            return True
        try:
            backend.encode(item)
        except NotPicklableError as exc:
            self._keep_here(item, exc)
            return False
        return True

    def _keep_here(self, item: Item, exc: NotPicklableError) -> None:
        """Call an item here that cannot travel; a pinned backend is not left.

        Nor is what `item_timeout` and the like need, where no item is called here.
        """
        if self._options.backend is not None or self._options.isolated is not None:
            self._parts.delivery.take([(item, Error(exc))])
            return
        self._parts.record.kept_here(exc)
        self._parts.here.call_item(item)
