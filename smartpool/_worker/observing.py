"""Measuring the calls of a chunk closely.

Imported when the parent first asks for it: `Profile` and the meter cost more to load
than the rest of a worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .._observe.meter import Meter
from . import wire
from .calling import outcome
from .memory import Packed, Parcel
from .pickling import dumps

Call = Callable[[Callable[..., Any], memoryview | Parcel], tuple[int, bytes | Packed]]


class Sizes:
    """Adds up what travels, and the time that takes.

    Loading arguments is part of an item's outcome and cannot be told apart there; so
    the function is wrapped, and what lies around its call is transport. Of that the CPU
    time counts: on a busy machine the rest is time without a CPU.

    Args:
        meter: Looks at each call, whether it waits.
    """

    def __init__(self, meter: Meter) -> None:
        """Begin at nothing."""
        self._meter = meter
        self.items = 0
        self.arg_bytes = 0
        self.result_bytes = 0
        self.pickle_s = 0.0

    def outcome(
        self, fn: Callable[..., Any], payload: memoryview | Parcel
    ) -> tuple[int, bytes | Packed]:
        """Do what `calling.outcome` does, with an eye on it."""
        called_s = 0.0

        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever fn takes
            nonlocal called_s
            begin = time.thread_time()
            self._meter.mark()
            try:
                return fn(*args, **kwargs)
            finally:
                self._meter.look()
                called_s = time.thread_time() - begin

        size = len(payload)
        begin = time.thread_time()
        tag, data = outcome(timed, payload)
        self.pickle_s += max(0.0, time.thread_time() - begin - called_s)
        self.items += 1
        self.arg_bytes += size
        self.result_bytes += len(data)
        return tag, data


def observed(run: Callable[[Call], wire.Finish]) -> wire.Finish:
    """Run a chunk under a meter and return its finish with a pickled profile."""
    with Meter() as meter:
        sizes = Sizes(meter)
        calls, wall_s, cpu_s, _ = run(sizes.outcome)
    if not calls:
        return calls, wall_s, cpu_s, b""
    profile = meter.profile(calls, where="worker")._replace(
        arg_bytes=sizes.arg_bytes // sizes.items,
        result_bytes=sizes.result_bytes // sizes.items,
        pickle_s=sizes.pickle_s / sizes.items,
    )
    return calls, wall_s, cpu_s, dumps(profile)
