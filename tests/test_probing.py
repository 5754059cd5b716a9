"""Unit: when probes have seen enough, and what they have shown together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._decide.costs import TINY_S
from smartpool._decide.facts import Profile
from smartpool._decide.probing import BATCH_MOST, BATCH_S, Seen, next_batch

ITEMS_S = st.lists(st.floats(1e-7, 1.0), min_size=1, max_size=20)


def seen_of(items_s: list[float]) -> Seen:
    """Return what probes of one item each have shown."""
    seen = Seen(Profile(1, items_s[0]))
    for item_s in items_s[1:]:
        seen = seen.and_then(Profile(1, item_s))
    return seen


@given(ITEMS_S)
def test_no_item_is_forgotten_or_counted_twice(items_s: list[float]) -> None:
    """The time spent is that of all, and a warm profile lacks the first at most."""
    seen = seen_of(items_s)

    assert seen.spent_s == pytest.approx(sum(items_s))
    warm = [items_s, items_s[1:]][seen.warm.calls < len(items_s)]
    assert seen.warm.calls == len(warm)
    assert seen.warm.wall_s == pytest.approx(sum(warm) / len(warm))


@pytest.mark.parametrize(
    ("items_s", "warm_s"),
    [
        ([0.010], 0.010),
        ([0.010, 0.010, 0.010], 0.010),
        ([0.100, 0.010, 0.010, 0.010], 0.010),
        ([0.012, 0.010, 0.010, 0.010], 0.0105),
        ([0.010, 0.100], 0.055),
        ([0.100, 0.010], 0.055),
        ([4e-6, 1e-6], 1e-6),
        ([0.010, 4e-6, 1e-6], 2.5e-6),
    ],
)
def test_a_first_item_that_was_a_cold_start_is_left_out(
    items_s: list[float], warm_s: float
) -> None:
    """It is one if the others show it: three items in all, or tiny ones after it."""
    assert seen_of(items_s).warm.wall_s == pytest.approx(warm_s)


def test_items_that_are_not_tiny_in_the_mean_are_not_taken_for_tiny() -> None:
    """One that is, among others that are not, says nothing of those that follow."""
    assert seen_of([5e-6, 5e-6, 2e-6]).warm.wall_s > TINY_S


@given(st.integers(1, BATCH_MOST), st.floats(0.0, 10.0))
def test_batches_double_at_most_and_stay_short(size: int, item_s: float) -> None:
    """The next one takes `BATCH_S`, or has one item; and it is never empty."""
    following = next_batch(size, item_s)

    assert 1 <= following <= min(2 * size, BATCH_MOST)
    assert following == 1 or following * item_s <= BATCH_S * 1.001
