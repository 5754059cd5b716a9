"""Unit: input is pulled once, in order, and no further than asked for."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count, islice, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._backends.base import Item
from smartpool._run.source import Source
from tests import workloads


class Odd:
    """An iterable with any length, that may raise, and may go on after it.

    Attributes:
        pulled: Elements that it has given.
    """

    def __init__(
        self, elements: Iterable[Any], length: int | None, raises_at: int | None = None
    ) -> None:
        self._elements = iter(elements)
        self._length = length
        self._raises_at = raises_at
        self.pulled = 0

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("what it wraps has no length")
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.pulled == self._raises_at:
            self._raises_at = None
            raise ValueError("half-way")
        element = next(self._elements)
        self.pulled += 1
        return element


def all_items(source: Source) -> list[tuple[Any, ...]]:
    """Pull the rest as items; their indices must count on."""
    args = []
    while (item := source.next_item()) is not None:
        assert item.index == source.taken - 1
        args.append(item.args)
    assert source.ended
    assert source.left == 0
    return args


def all_blocks(source: Source, size: int) -> list[Any]:
    """Pull the rest in blocks, as serial work does."""
    found: list[Any] = []
    while True:
        elements, number = source.block(size)
        pulled = list(elements)
        assert len(pulled) == number <= size
        found += pulled
        if number < size:
            return found


containers = [
    pytest.param(lambda n: list(range(n)), id="list"),
    pytest.param(lambda n: tuple(range(n)), id="tuple"),
    pytest.param(range, id="range"),
    pytest.param(lambda n: dict.fromkeys(range(n)), id="dict"),
    pytest.param(lambda n: deque(range(n)), id="deque"),
    pytest.param(lambda n: bytes(range(n)), id="bytes"),
    pytest.param(lambda n: Odd(range(n), n), id="sized"),
]


@pytest.mark.parametrize("make", containers)
@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_a_container_says_what_is_left(make: Any, number: int) -> None:
    """Its length is known before and counts down; the end is seen at the last item."""
    source = Source((make(number),))

    assert source.container
    assert source.total == number
    for taken in range(number):
        assert source.left == number - taken
        item = source.next_item()
        assert item is not None
        assert item.args == (taken,)
    assert source.left == 0
    assert source.next_item() is None


def test_a_generator_does_not_say() -> None:
    """Nothing is known until the end was seen; nothing is pulled before it is asked."""
    odd = Odd(range(3), None)
    source = Source((iter(odd),))

    assert (source.total, source.left, source.container) == (None, None, False)
    assert odd.pulled == 0
    assert all_items(source) == [(0,), (1,), (2,)]
    assert source.left == 0


def test_a_length_that_raises_is_none() -> None:
    """Some progress bars have a length only if what they wrap has one."""
    source = Source((Odd(range(4), None),))

    assert source.total is None
    assert len(all_items(source)) == 4


@pytest.mark.parametrize("said", [0, 1, 3, 4, 5, 9])
@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_a_length_may_be_wrong(said: int, size: int) -> None:
    """All elements are pulled, whatever the iterable said of their number."""
    assert len(all_items(Source((Odd(range(4), said),)))) == 4
    assert all_blocks(Source((Odd(range(4), said),)), size) == [0, 1, 2, 3]


def test_more_than_was_said_is_seen_before_the_end() -> None:
    """When as many were pulled as were promised, it is known that more may come."""
    source = Source((Odd(range(4), 2),))
    for _ in range(2):
        source.next_item()

    assert source.left is None
    assert all_items(source) == [(2,), (3,)]


def test_a_list_may_grow_while_it_is_read() -> None:
    """What was added to a list before its end was reached is called, as in a loop."""
    items = [0, 1]
    source = Source((items,))
    source.block(1)
    items.append(2)

    assert source.left == 2
    assert all_items(source) == [(1,), (2,)]


def test_a_list_may_shrink_while_it_is_read() -> None:
    """What is gone is not waited for."""
    items = [0, 1, 2, 3]
    source = Source((items,))
    source.block(1)
    del items[2:]

    assert source.left == 1
    assert all_items(source) == [(1,)]


@pytest.mark.parametrize("at", [0, 1, 3, 5])
@pytest.mark.parametrize("length", [None, 5, 9])
def test_an_error_ends_the_input(at: int, length: int | None) -> None:
    """What came before it is called; what would come after it is never asked for."""
    odd = Odd(range(5), length, raises_at=at)
    source = Source((odd,))

    assert [args for (args,) in all_items(source)] == list(range(at))
    assert isinstance(source.error, ValueError)
    assert (source.ended, source.left, source.taken) == (True, 0, at)
    assert source.block(3)[1] == 0
    assert source.next_item() is None
    assert odd.pulled == at


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_an_error_ends_a_block_early(size: int) -> None:
    """The block holds what came before the error, and the next one is empty."""
    source = Source((Odd(range(9), None, raises_at=5),))

    assert all_blocks(source, size) == [0, 1, 2, 3, 4]
    assert list(source.block(size)[0]) == []
    assert str(source.error) == "half-way"


def test_an_interrupt_is_not_the_inputs() -> None:
    """What the user sends while input is pulled is not kept as the input's error."""

    def interrupted() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    source = Source((interrupted(),))
    source.next_item()

    with pytest.raises(KeyboardInterrupt):
        source.next_item()
    assert source.error is None


def test_several_iterables_end_with_the_shortest() -> None:
    """As in `map`: and the total is the least of the lengths."""
    source = Source(([1, 2, 3], "abcd", range(9)))

    assert not source.unary
    assert source.total == 3
    assert all_items(source) == [(1, "a", 0), (2, "b", 1), (3, "c", 2)]


def test_one_iterable_without_a_length_makes_the_total_unknown() -> None:
    """A list beside an endless counter ends with the list, though it does not say."""
    source = Source(([1, 2], count()))

    assert (source.total, source.container) == (None, False)
    assert all_items(source) == [(1, 0), (2, 1)]


@pytest.mark.parametrize(
    ("iterables", "rows"),
    [
        (([1, 2], repeat("x")), [(1, "x"), (2, "x")]),
        ((repeat("x"), [1, 2]), [("x", 1), ("x", 2)]),
        ((range(9), repeat("x"), [1], repeat("y")), [(0, "x", 1, "y")]),
        (([1, 2, 3], repeat("x", 2)), [(1, "x"), (2, "x")]),
        (([1], repeat("x", 2)), [(1, "x")]),
        ((repeat("x", 2),), [("x",), ("x",)]),
        ((repeat("x", 0),), []),
        (([1, 2], repeat("x", -3)), []),
    ],
)
def test_what_repeats_is_no_generator(
    iterables: tuple[Iterable[Any], ...], rows: list[tuple[Any, ...]]
) -> None:
    """It says how often it repeats; what repeats for ever ends no other iterable."""
    source = Source(iterables)

    assert (source.total, source.container) == (len(rows), True)
    assert all_items(source) == rows


@pytest.mark.parametrize("number", [1, 2])
def test_all_that_repeats_for_ever_is_endless(number: int) -> None:
    """There is no least length where there is none."""
    source = Source((repeat("x"),) * number)

    assert (source.total, source.left, source.container) == (None, None, False)
    assert source.block(3)[1] == 3


def test_only_repeat_itself_is_believed() -> None:
    """What else repeats may run anybody's code."""

    class Slow(repeat):  # type: ignore[type-arg]
        pass

    source = Source(([1, 2], Slow("x")))

    assert (source.total, source.container) == (None, False)


def test_the_time_that_input_takes_is_counted() -> None:
    """A plain loop would take it, too. Of slices nothing is counted: they are free."""
    slow, quick = Source((map(workloads.spin, [0.002] * 3),)), Source(([1, 2, 3],))
    assert len(all_items(slow)) == len(all_items(quick)) == 3

    assert slow.pulling_s >= 0.006
    assert quick.pulling_s == 0.0


def test_an_endless_input_is_pulled_as_far_as_asked() -> None:
    """There is always more, and no one looks for the end."""
    odd = Odd(count(), None)
    source = Source((iter(odd),))

    assert list(source.block(5)[0]) == [0, 1, 2, 3, 4]
    assert source.next_item() is not None
    assert odd.pulled == source.taken == 6
    assert source.left is None


def test_a_tuple_is_one_argument() -> None:
    """Elements of one iterable are not spread."""
    assert all_items(Source(([(1, 2), ()],))) == [((1, 2),), ((),)]


@given(st.integers(0, 30), st.lists(st.integers(1, 8), max_size=20), st.booleans())
def test_what_comes_back_comes_first(
    number: int,
    sizes: list[int],
    lazily: bool,
) -> None:
    """Items are pulled once each and in order, however often some are put back."""
    source = Source((iter(range(number)) if lazily else range(number),))
    seen: list[int] = []
    for size in sizes:
        items: list[Item] = []
        while len(items) < size and (item := source.next_item()) is not None:
            items.append(item)
        keep = len(items) // 2
        seen += [item.index for item in items[:keep]]
        source.put_back(items[keep:])
        if source.left is not None:
            assert source.left == number - len(seen)
    while (item := source.next_item()) is not None:
        assert item.args == (item.index,)
        seen.append(item.index)

    assert seen == list(range(number))
    assert source.taken == number


# -- elements that flow --------------------------------------------------------------


def test_an_element_is_pulled_when_its_turn_comes() -> None:
    """Not before the one ahead of it was read: it may depend on that one."""
    read: list[int] = []
    source = Source(((len(read) for _ in range(10)),))

    flow = source.flow(4)
    for element in flow:
        assert element == len(read)
        read.append(element)

    assert read == [0, 1, 2, 3]
    assert source.flowed(flow) == 4
    assert (source.taken, source.ended) == (4, False)


def test_what_flows_ends_with_the_input() -> None:
    """Fewer than were asked for say that there are no more; then there are none."""
    source = Source((iter("abc"),))

    flow = source.flow(5)
    assert list(flow) == ["a", "b", "c"]
    assert source.flowed(flow) == 3
    assert (source.ended, source.left) == (True, 0)
    assert list(source.flow(5)) == []
    assert source.next_item() is None


def test_who_breaks_off_goes_on_where_it_was() -> None:
    """The same elements, counted once, however often somebody asks."""
    source = Source((iter(range(10)),))
    flow = source.flow(6)

    first = list(islice(flow, 2))
    assert [flow.pulled, flow.pulled] == [2, 2]
    assert [*first, *flow] == list(range(6))
    assert flow.pulled == 6
    assert source.flowed(flow) == 6


def test_an_element_that_could_not_be_pulled_does_not_count() -> None:
    """So a caller can tell whether the input has raised, or a call."""

    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("input")

    source = Source((items(),))
    flow = source.flow(10)
    with pytest.raises(ValueError, match="input") as caught:
        list(flow)

    source.failed(caught.value)
    assert source.flowed(flow) == 3
    assert source.ended
    assert source.error is caught.value


def test_what_is_no_exception_of_the_input_goes_through() -> None:
    """A Ctrl-C while the input is pulled is not the end of the input."""
    source = Source((iter(range(3)),))
    with pytest.raises(KeyboardInterrupt):
        source.failed(KeyboardInterrupt())
    assert source.error is None
