"""Unit: every item of a run is in exactly one place, and is settled once."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from smartpool._backends.base import Chunk, Item, Job
from smartpool._run.dispatcher import Dispatcher


def call(*args: object) -> object:
    return args


JOB = Job(call)


class DispatcherMachine(RuleBasedStateMachine):
    """Feeds, places, settles, finishes and stops in any order.

    The model: lists of what should be where, by index.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher = Dispatcher()
        self.fed = 0
        self.pending: list[int] = []
        self.chunks: dict[int, tuple[Chunk, int]] = {}
        self.settled: list[int] = []
        self.dropped: list[int] = []
        self.aside: list[Item] = []
        self.given_back = 0
        self.stopped = False
        self.open = True

    @initialize(count=st.integers(0, 5))
    def begin(self, count: int) -> None:
        self.feed(count, 1)

    @precondition(lambda self: self.open or self.stopped)
    @rule(count=st.integers(0, 5), size=st.integers(0, 40))
    def feed(self, count: int, size: int) -> None:
        new = range(self.fed, self.fed + count)
        payload = b"x" * size if size else None
        self.dispatcher.feed([Item(index, (index,), payload) for index in new])
        self.fed += count
        (self.dropped if self.stopped else self.pending).extend(new)

    @rule(data=st.data())
    def close_input(self, data: st.DataObject) -> None:
        taken_back = data.draw(st.integers(0, self.given_back))
        self.dispatcher.close_input(taken_back)
        self.open = self.open and taken_back < self.given_back

    @rule(count=st.integers(1, 5))
    def give_back(self, count: int) -> None:
        self.dispatcher.give_back(count)
        self.given_back += count
        self.open = not self.stopped

    @precondition(lambda self: self.pending)
    @rule(count=st.integers(1, 6), most_bytes=st.integers(0, 100))
    def place(self, count: int, most_bytes: int) -> None:
        items = self.dispatcher.take(count, most_bytes)
        indices = [item.index for item in items]
        assert indices == self.pending[: len(indices)], "out of order"
        assert 1 <= len(items) <= count
        size = sum(len(item.payload or b"") for item in items)
        assert size <= most_bytes or len(items) == 1
        del self.pending[: len(items)]
        chunk = Chunk(JOB, items)
        self.dispatcher.placed(chunk)
        self.chunks[chunk.id] = (chunk, 0)

    @precondition(lambda self: self.chunks)
    @rule(data=st.data(), count=st.integers(0, 6))
    def settle(self, data: st.DataObject, count: int) -> None:
        chunk, done = self.chunks[data.draw(st.sampled_from(sorted(self.chunks)))]
        items = self.dispatcher.settle(chunk, count)
        assert items == chunk.items[done : done + count]
        self.chunks[chunk.id] = (chunk, done + len(items))
        self.settled.extend(item.index for item in items)

    @precondition(lambda self: self.chunks)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.chunks)))
        chunk, done = self.chunks.pop(key)
        rest = self.dispatcher.finish(chunk)
        left = chunk.items[done:]
        if self.stopped:
            assert rest == []
            self.dropped.extend(item.index for item in left)
        else:
            assert rest == left
            self.dispatcher.put_back(rest)
            self.pending[:0] = [item.index for item in rest]

    @rule()
    def withdraw(self) -> None:
        items = self.dispatcher.withdraw()
        assert [item.index for item in items] == self.pending
        self.aside.extend(items)
        self.pending.clear()

    @rule()
    def put_back(self) -> None:
        indices = [item.index for item in self.aside]
        self.dispatcher.put_back(self.aside)
        if self.stopped:
            self.dropped.extend(indices)
        else:
            self.pending[:0] = indices
        self.aside = []

    @precondition(lambda self: self.fed > 3)
    @rule()
    def stop(self) -> None:
        self.dispatcher.stop()
        self.dropped.extend(self.pending)
        self.pending.clear()
        self.stopped, self.open = True, False

    @invariant()
    def every_item_is_in_one_place(self) -> None:
        flying = [
            item.index
            for chunk, done in self.chunks.values()
            for item in chunk.items[done:]
        ]
        aside = [item.index for item in self.aside]
        places = [*self.pending, *flying, *aside, *self.settled, *self.dropped]
        assert sorted(places) == list(range(self.fed))

    @invariant()
    def it_counts_as_the_model_does(self) -> None:
        dispatcher = self.dispatcher
        assert dispatcher.pending == len(self.pending)
        assert dispatcher.in_flight == len(self.chunks)
        assert dispatcher.chunks == [chunk for chunk, _ in self.chunks.values()]
        assert dispatcher.settled == len(self.settled) == len(set(self.settled))
        assert dispatcher.input_open == self.open
        assert dispatcher.over == (
            not self.open and not self.pending and not self.chunks
        )


TestDispatcher = DispatcherMachine.TestCase
TestDispatcher.settings = settings(max_examples=100, stateful_step_count=40)


def test_a_stopped_run_ends_with_what_is_in_flight() -> None:
    """After a stop nothing comes back, so that the run is over when its chunks are."""
    dispatcher = Dispatcher()
    items = [Item(index, (index,)) for index in range(6)]
    dispatcher.feed(items)
    chunk = Chunk(JOB, dispatcher.take(3, 100))
    dispatcher.placed(chunk)

    dispatcher.stop()
    dispatcher.settle(chunk, 1)
    dispatcher.feed(items)
    dispatcher.put_back(items)
    dispatcher.give_back(6)

    assert not dispatcher.over
    assert dispatcher.finish(chunk) == []
    assert dispatcher.over


def test_an_end_that_was_said_too_early_does_not_count() -> None:
    """Who says that no more comes may not know of what is on its way back to it."""
    dispatcher = Dispatcher()
    dispatcher.feed(Item(index, (index,)) for index in range(3))
    back = dispatcher.withdraw()
    dispatcher.give_back(len(back))

    dispatcher.close_input(0)
    assert not dispatcher.over

    dispatcher.feed(back)
    dispatcher.close_input(3)
    assert not dispatcher.input_open
    assert [item.index for item in dispatcher.take(9, 100)] == [0, 1, 2]
    assert dispatcher.over


def test_what_was_not_called_comes_first() -> None:
    """A chunk that ended early gives its rest back to the front, in order."""
    dispatcher = Dispatcher()
    dispatcher.feed(Item(index, (index,)) for index in range(6))
    chunk = Chunk(JOB, dispatcher.take(4, 100))
    dispatcher.placed(chunk)
    dispatcher.settle(chunk, 1)

    dispatcher.put_back(dispatcher.finish(chunk))

    assert [item.index for item in dispatcher.take(9, 100)] == [1, 2, 3, 4, 5]


def test_one_large_item_travels_alone() -> None:
    """The bound on bytes holds for more than one item; a single one may exceed it."""
    dispatcher = Dispatcher()
    sizes = [50, 200, 40, 60, 10]
    dispatcher.feed(Item(i, (i,), b"x" * size) for i, size in enumerate(sizes))

    taken = [len(dispatcher.take(9, 100)) for _ in range(4)]

    assert taken == [1, 1, 2, 1]
