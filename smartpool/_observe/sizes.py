"""How much of an item travels, and how long it takes to pickle it.

By protocol 5 with buffers out of band: looking at an array copies nothing.
"""

from __future__ import annotations

import pickle
import time
from dataclasses import replace
from typing import Any

from .._decide.facts import Profile


def with_sizes(profile: Profile, args: object, result: object) -> Profile:
    """Return `profile` with what an item's arguments and its result weigh.

    What plain pickle refuses is left open (`None`): cloudpickle may still take it.
    """
    began = time.perf_counter()
    arg_bytes, result_bytes = pickled_bytes(args), pickled_bytes(result)
    pickle_s = 2 * (time.perf_counter() - began)  # and to load it again
    return replace(
        profile, arg_bytes=arg_bytes, result_bytes=result_bytes, pickle_s=pickle_s
    )


def pickled_bytes(value: Any) -> int | None:  # noqa: ANN401
    """Return the size of `value` pickled, its buffers included; `None` if it fails."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    except Exception:  # noqa: BLE001 - the user's __reduce__ may raise anything
        return None
    return len(data) + sum(buffer.raw().nbytes for buffer in buffers)
