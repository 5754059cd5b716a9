"""Taking in what workers send of a chunk: each outcome once, however often it came."""

from __future__ import annotations

from collections.abc import Iterable

from ..._outcome import Outcome
from ..._worker import wire
from ..._worker.memory import Parcel, is_apart
from .payloads import Encoded
from .worker import Placed

Records = Iterable[tuple[int, int, memoryview]]
"""Positions, tags and bytes, as `wire` has them."""


def take_in(placed: Placed, records: Records, fds: Iterable[int] = ()) -> list[Outcome]:
    """Return the outcomes of the next items, in order.

    Args:
        placed: The chunk.
        records: What came.
        fds: A memory file for each record whose bytes are in one.
    """
    outcomes: list[Outcome] = []
    files = iter(fds)
    for position, tag, data in records:
        apart = tag == wire.VALUE and is_apart(data)
        parcel = Parcel(data, next(files)) if apart else None
        if position != placed.done:
            if parcel is not None:
                parcel.close()
            continue
        if tag == wire.UNLOADABLE:
            placed.unloadable = wire.unpack_unloadable(data)
            break
        outcomes.append(Encoded(tag, data, parcel))
        placed.done += 1
        placed.function.deaths = 0
    return outcomes


def take_some_in(
    placed: Placed, records: Records, fds: Iterable[int] = ()
) -> tuple[list[int], list[Outcome]]:
    """Return positions and outcomes of items of a chunk that goes together."""
    positions: list[int] = []
    outcomes: list[Outcome] = []
    files = iter(fds)
    for position, tag, data in records:
        apart = tag == wire.VALUE and is_apart(data)
        parcel = Parcel(data, next(files)) if apart else None
        if position in placed.known:
            if parcel is not None:
                parcel.close()
            continue
        if tag == wire.UNLOADABLE:  # nothing of the chunk has been called
            placed.unloadable, placed.at = wire.unpack_unloadable(data), position
            break
        positions.append(position)
        outcomes.append(Encoded(tag, data, parcel))
        placed.known.add(position)
        placed.done += 1
        placed.function.deaths = 0
    return positions, outcomes
