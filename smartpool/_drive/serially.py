"""Serial plans: blocks of items called here, until the end or until they get dear."""

from __future__ import annotations

from collections.abc import Generator
from math import inf
from typing import Any, Final

from .._decide.plan import Plan
from .._errors import PoolClosedError
from .delivery import Batch
from .parts import Parts

BLOCK_S: Final = 0.01
"""A block of serial work takes about so long: then the plan is looked at again."""

BLOCK_MOST: Final = 10_000
"""Items of a block, at most: what a stream holds in memory. A guess."""

SURPRISE: Final = 4.0
"""Items that take so many times longer than expected are probed again: a guess."""


def serially(
    parts: Parts, plan: Plan, results: list[Any] | None
) -> Generator[Batch, None, bool]:
    """Call what is left of the input, one item after the other, and yield results.

    Args:
        parts: The run.
        plan: What was decided.
        results: Where the caller collects all results in input order, if it does:
            they are added there, and not yielded, while that is the place.

    Returns:
        Whether items got so dear that another plan is to be made.
    """
    expected_s = parts.here.item_s
    size = 1 if expected_s is None else _block_size(parts, expected_s)
    while True:
        if parts.engine.closed:
            parts.delivery.fail(PoolClosedError("the pool was closed"))
            parts.end()
            return False
        if parts.is_late():
            parts.end()
            return False
        first = parts.source.taken
        values = results if results is not None and len(results) == first else []
        count, took_s = _call_block(parts, size, values)
        if values and values is not results:
            yield range(first, first + len(values)), values
        if parts.failed or count < size:
            parts.end()
            return False
        item_s = took_s / size
        if plan.rule != "pinned" and _got_dear(parts, expected_s, item_s, took_s):
            return True
        size = min(2 * size, _block_size(parts, item_s))


def _call_block(parts: Parts, size: int, values: list[Any]) -> tuple[int, float]:
    """Call the next elements and append to `values`.

    Returns:
        How many they were: at most `size`, fewer only at the end; and seconds.
    """
    source = parts.source
    first = source.taken
    if source.container:
        elements, count = source.block(size)
        return count, parts.here.call(elements, first, values)
    flow = source.flow(size)
    took_s = parts.here.call(flow, first, values)
    return source.flowed(flow), took_s


def _block_size(parts: Parts, item_s: float) -> int:
    fitting = int(BLOCK_S / item_s) if item_s > 0 else BLOCK_MOST
    return max(1, min(fitting, BLOCK_MOST, parts.ahead or BLOCK_MOST))


def _got_dear(
    parts: Parts, expected_s: float | None, item_s: float, took_s: float
) -> bool:
    """Return whether a block was so slow that another plan could be worth it."""
    left = parts.source.left
    rest_s = inf if left is None else left * item_s
    dear = expected_s is not None and item_s > SURPRISE * expected_s
    return dear and took_s >= BLOCK_S / 2 and rest_s > BLOCK_S
