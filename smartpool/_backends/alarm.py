"""One timer for all that a backend has to look at in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from .base import Host, Watch

LOOK_LEAST_S: Final = 0.001
"""Nothing is looked at again sooner, however short an `item_timeout` is: a guess."""


TOGETHER_S: Final = 0.02
"""Of many calls at once those that have had their time are dealt with together, so often
at most: a guess. It is a part of the `item_timeout` where that is short."""

TOGETHER_SHARE: Final = 1 / 8
"""That part: a guess."""


def together_s(left_s: float, limit_s: float) -> float:
    """Return when to look again at many calls, if one has `left_s` seconds left."""
    return max(left_s, min(TOGETHER_S, limit_s * TOGETHER_SHARE))


class Alarm:
    """Rings once at the earliest of the times that were asked for.

    There is one for all calls of a backend, and none for each: a chunk may take some
    microseconds, and an `item_timeout` an hour, for which its timer would be kept.

    Args:
        host: The engine.
        ring: Called by it. Asks for what follows.
    """

    def __init__(self, host: Host, ring: Callable[[], None]) -> None:
        self._host = host
        self._ring = ring
        self._at_s = 0.0
        self._watch: Watch | None = None

    def within(self, delay_s: float) -> None:
        """Ring in `delay_s` seconds at the latest. By the engine."""
        delay_s = max(delay_s, LOOK_LEAST_S)
        at_s = time.monotonic() + delay_s
        if self._watch is not None:
            if self._at_s <= at_s:
                return
            self._watch.cancel()
        self._at_s = at_s
        self._watch = self._host.call_later(delay_s, self._rings)

    def _rings(self) -> None:
        self._watch = None
        self._ring()
