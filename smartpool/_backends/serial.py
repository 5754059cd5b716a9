"""Right here: on the thread that asks, one item after the other."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from .._decide.facts import BackendName
from .._observe.gil import free_threaded_build
from .._outcome import Outcome, capture
from .base import Chunk, Host, Item, Job, Usage


def call_each(
    fn: Callable[..., Any],
    arguments: Iterable[Any],
    values: list[Any],
    *,
    unary: bool,
) -> tuple[BaseException, Any] | None:
    """Call `fn` on each of `arguments` and append what it returns to `values`.

    The loop of a person who does without a library, and as fast (benchmarks/costs.py,
    "the plain loop"). A comprehension is up to 10 % faster (free-threaded 3.13: 30 %),
    but it loses what was finished when a call raises; `map` takes a `StopIteration` of
    `fn` for the end.

    Args:
        fn: What to call.
        arguments: One argument each; or, not `unary`, one tuple of them. Goes on after
            the one that failed if it is given again. If it raises itself, that looks
            like a call that did: whoever gives such arguments counts them.
        values: Where results go: all that were finished, also when one fails.
        unary: Whether `fn` gets each element itself.

    Returns:
        What the next call raised, and its argument; `None` if none raised.
    """
    append, argument = values.append, None
    try:
        if unary and _BOUND_IS_FASTER:
            for argument in arguments:
                append(fn(argument))
        elif unary:
            for argument in arguments:
                values.append(fn(argument))  # noqa: PERF401 - keeps all until an error
        else:
            for argument in arguments:
                values.append(fn(*argument))
    except BaseException as exc:  # noqa: BLE001 - the item's, whatever it is
        return exc, argument
    return None


_BOUND_IS_FASTER: Final = sys.version_info[:2] == (3, 12) or (
    free_threaded_build() and sys.version_info < (3, 14)
)
"""Whether `append` is better bound before the loop: by 10 % in 3.12, whose specialised
method call is for lists themselves and not for a subclass, as `Results` is; by 14 % in
free-threaded 3.13, which specialises nothing once there was a second thread. Elsewhere
the method call is faster, by 4 to 10 % (medians of 41, taken in random order)."""


class Serial:
    """Calls items on the thread that places them, before `place` returns."""

    name: ClassVar[BackendName] = "serial"
    travels: ClassVar[bool] = False
    stoppable: ClassVar[bool] = False
    broken: Outcome | None = None

    def __init__(self, host: Host) -> None:
        self._host = host

    def prepare(self, job: Job) -> None:
        """Nothing to do: the function is here."""

    def encode(self, item: Item) -> None:
        """Nothing to do: the arguments are here."""

    def place_now(self, _chunk: Chunk, _noted: Callable[[], None], /) -> None:
        """Return `None`: the engine places all."""

    def place(self, chunk: Chunk) -> None:
        """Call the items of `chunk` now."""
        outcomes: list[Outcome] = []
        began, cpu_0 = time.perf_counter(), time.thread_time()
        for item in chunk.items:
            outcomes.append(capture(chunk.job.fn, item.arguments))
            if outcomes[-1].failed and chunk.job.stop_on_error:
                break
        wall_s, cpu_s = time.perf_counter() - began, time.thread_time() - cpu_0
        self._host.report(chunk, outcomes)
        self._host.finish(chunk, Usage(len(outcomes), wall_s, cpu_s))

    def ready(self) -> int:
        """Return 1: this thread."""
        return 1

    def cancel(self, job: Job) -> None:
        """Nothing to do: no chunk is ever in flight."""

    def kill(self, job: Job) -> None:
        """Nothing to do: no chunk is ever in flight."""

    def kill_chunk(self, chunk: Chunk) -> None:
        """Nothing to do: no chunk is ever in flight."""

    def lingers(self) -> bool:
        """Return false: nothing is kept."""
        return False

    def forget(self, job: Job) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""
