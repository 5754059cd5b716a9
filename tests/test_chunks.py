"""Unit: chunk sizes, by taking chunks until nothing is left."""

from itertools import repeat
from math import ceil, log

from hypothesis import example, given, settings
from hypothesis import strategies as st

from smartpool._decide.chunks import (
    GROWTH,
    OVERHEAD_S,
    OVERHEAD_SHARE,
    TARGET_S,
    next_chunk_size,
)

rests = st.integers(1, 10**6)
workers = st.integers(1, 256)
durations = st.floats(1e-9, 100.0)
targets = st.floats(1e-4, 10.0)
measured = st.integers(1, 10**6)


def taken(rest: int, places: int, item_s: float, target_s: float) -> list[int]:
    """Return the sizes of all chunks of a run; each is measured before the next."""
    sizes: list[int] = []
    seen = 0
    while rest:
        size = next_chunk_size(rest, places, item_s, seen, target_s)
        sizes.append(size)
        rest, seen = rest - size, max(seen, size)
    return sizes


@settings(max_examples=40)  # each is as many chunks as a run would have
@given(rests, workers, durations, targets)
@example(1, 1, 1e-9, TARGET_S)
@example(10**6, 1, 3e-6, TARGET_S)
def test_chunks_add_up_to_the_input(
    rest: int, places: int, item_s: float, target_s: float
) -> None:
    """Chunks taken until nothing is left are the input, in as many pieces as needed."""
    sizes = taken(rest, places, item_s, target_s)

    assert sum(sizes) == rest
    assert min(sizes) >= 1
    growing = log(rest, GROWTH) + 1
    halving = 2 * places * (log(rest) + 2)
    capped = rest / max(1, int(target_s / item_s))
    assert len(sizes) <= min(rest, growing + halving + capped)


@given(rests, workers, durations, st.integers(0, 10**6), targets)
def test_a_chunk_is_never_empty_nor_more_than_is_left(
    rest: int, places: int, item_s: float, seen: int, target_s: float
) -> None:
    """At least one item, at most all, whatever was measured."""
    assert 1 <= next_chunk_size(rest, places, item_s, seen, target_s) <= rest
    assert next_chunk_size(rest, places, None, seen, target_s) == 1


@given(st.none() | rests, workers, durations, measured, targets)
def test_a_chunk_keeps_to_its_target(
    rest: int | None, places: int, item_s: float, seen: int, target_s: float
) -> None:
    """Items that keep to what was measured take no longer than the target together."""
    size = next_chunk_size(rest, places, item_s, seen, target_s)

    assert size == 1 or size * item_s <= target_s * (1 + 1e-9)


@given(st.none() | rests, workers, durations, measured)
def test_a_chunk_grows_from_what_was_measured(
    rest: int | None, places: int, item_s: float, seen: int
) -> None:
    """One cheap item does not send thousands along."""
    assert next_chunk_size(rest, places, item_s, seen) <= GROWTH * seen


@given(st.integers(2, 10**6), st.integers(2, 256), durations, measured)
def test_no_place_gets_more_than_its_part(
    rest: int, places: int, item_s: float, seen: int
) -> None:
    """No chunk is larger than an even share: the others would have nothing to do."""
    assert next_chunk_size(rest, places, item_s, seen) <= ceil(rest / places)


@given(st.integers(10**6, 10**9), workers, st.floats(1e-7, 1e-2))
def test_overhead_stays_a_small_part(rest: int, places: int, item_s: float) -> None:
    """While there is much to do, a chunk is worth handing over."""
    size = next_chunk_size(rest, places, item_s, 10**9)

    assert OVERHEAD_SHARE * size * item_s * (1 + 1e-9) >= OVERHEAD_S or (
        size >= ceil(rest / places)
    )


@given(workers, durations, measured, targets)
def test_an_endless_input_gets_chunks_of_the_target(
    places: int, item_s: float, seen: int, target_s: float
) -> None:
    """Where nothing is known of the end, nothing is kept for it."""
    size = next_chunk_size(None, places, item_s, seen, target_s)

    assert size == min(max(1, int(target_s / item_s)), GROWTH * seen)


@given(rests, workers, durations, measured, st.integers(1, 10**6))
def test_more_left_never_makes_a_chunk_smaller(
    rest: int, places: int, item_s: float, seen: int, more: int
) -> None:
    """Chunks get smaller towards the end only."""
    sizes = [next_chunk_size(n, places, item_s, seen) for n in (rest, rest + more)]

    assert sizes == sorted(sizes)


def test_rounds_of_half_of_what_is_left() -> None:
    """Where neither floor nor cap binds, the rounds are those of factoring."""
    sizes = [next_chunk_size(rest, 2, 1e-3, 10**6) for rest in (700, 400, 200, 100)]

    assert sizes == [175, 100, 50, 25]


def test_items_longer_than_the_target_go_one_by_one() -> None:
    """Nothing can be made shorter than one item."""
    assert taken(7, 2, 3.0, TARGET_S) == list(repeat(1, 7))
