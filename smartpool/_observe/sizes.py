"""How much of an item travels, how long it takes to pickle it, and whether it can.

By protocol 5 with buffers out of band: looking at an array copies nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from .._decide.facts import Profile
from .._worker.pickling import dumps, plain_dumps

if TYPE_CHECKING:
    from pickle import PickleBuffer  # the module loads `re`, and 4 ms with it

DEAR_S: Final = 0.00005
"""Pickling that takes less is no reason for anything: items take 0.1 ms on their way in
any case (benchmarks/costs.py: round trip)."""

LOOKS: Final = 4
"""So often it is measured, at most: a guess."""

LOOK_AGAIN_S: Final = 0.002
"""And for so long: a guess."""


def with_sizes(profile: Profile, args: object, result: object) -> Profile:
    """Return `profile` with what an item's arguments and its result weigh.

    What plain pickle refuses is left open (`None`): cloudpickle may still take it.
    """
    arg_bytes, result_bytes, took_s = _pickled(args, result)
    spent_s = took_s
    # A stall in the one look would keep the run here: what looks dear is looked at
    # again, and the best counts, as long as that is cheap.
    for _ in range(LOOKS - 1):
        if took_s <= DEAR_S or spent_s >= LOOK_AGAIN_S:
            break
        again_s = _pickled(args, result)[2]
        took_s, spent_s = min(took_s, again_s), spent_s + again_s
    return profile._replace(
        arg_bytes=arg_bytes,
        result_bytes=result_bytes,
        pickle_s=2 * took_s,  # it is to be loaded again
    )


def _pickled(args: object, result: object) -> tuple[int | None, int | None, float]:
    """Return the sizes of both, and how long it took, without the time without a CPU."""
    wall_0, cpu_0 = time.perf_counter(), time.thread_time()
    arg_bytes, result_bytes = pickled_bytes(args), pickled_bytes(result)
    wall_s, cpu_s = time.perf_counter() - wall_0, time.thread_time() - cpu_0
    return arg_bytes, result_bytes, min(wall_s, cpu_s)


def with_refusal(profile: Profile, args: object, results: Sequence[object]) -> Profile:
    """Return `profile` with why an argument or a result cannot travel, if one cannot.

    May load cloudpickle, which takes longer than all else here: not to be called
    before nothing else keeps the calls in this process.

    Args:
        profile: What was measured.
        args: The arguments of the first item.
        results: Results to be tried.
    """
    why = refusal(args)
    if why is not None:
        return profile._replace(unpicklable=f"the first item cannot be pickled: {why}")
    for result in results:
        why = refusal(result)
        if why is not None:
            name = type(result).__qualname__
            text = f"a result, of type {name}, cannot be pickled: {why}"
            return profile._replace(unpicklable=text)
    return profile


def pickled_bytes(value: Any) -> int | None:  # noqa: ANN401
    """Return the size of `value` pickled, its buffers included; `None` if it fails."""
    try:
        data, buffers = _plainly(value)
    except Exception:  # noqa: BLE001 - the user's __reduce__ may raise anything
        return None
    return len(data) + sum(buffer.raw().nbytes for buffer in buffers)


def refusal(value: Any) -> str | None:  # noqa: ANN401
    """Return why `value` can be pickled in no way that is used; `None` if it can.

    What plain pickle refuses, or only names a thing of `__main__`'s in, goes by value.
    """
    try:
        if b"__main__" not in _plainly(value)[0]:
            return None
    except Exception:  # noqa: BLE001, S110 - as above
        pass
    try:
        dumps(value)
    except Exception as exc:  # noqa: BLE001 - as above
        return _said(exc)
    return None


def _plainly(value: object) -> tuple[bytes, list[PickleBuffer]]:
    buffers: list[PickleBuffer] = []
    return plain_dumps(value, protocol=5, buffer_callback=buffers.append), buffers


def _said(exc: Exception) -> str:
    try:
        return repr(exc)
    except Exception:  # noqa: BLE001 - its arguments are the user's
        return type(exc).__qualname__
