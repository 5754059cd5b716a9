"""Unit: the reactor calls everything, one at a time, and is there while it is needed."""

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from smartpool import _aside
from smartpool._run.reactor import Reactor, Watched

LIMIT_S = 30.0
"""No wait of these tests is longer: then they fail."""


class Loop:
    """A reactor, and what happened to it."""

    def __init__(self) -> None:
        self.is_needed = True
        self.broken: list[BaseException] = []
        self.inside = 0
        self.most_inside = 0
        self.reactor = Reactor(lambda: self.is_needed, self.broken.append, lambda: None)

    def counted(self, then: Callable[[], None] = lambda: None) -> None:
        """Note how many callbacks are being called, and call `then`."""
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        then()
        self.inside -= 1

    def call(self, callback: Callable[[], Any]) -> Any:
        """Have the reactor's thread call `callback`; return what it returns."""
        done, found = threading.Event(), list[Any]()

        def call_it() -> None:
            try:
                found.append(callback())
            finally:
                done.set()

        self.reactor.hand_over(call_it)
        assert done.wait(LIMIT_S), "a callback was not called"
        return found[0] if found else None

    def end(self) -> None:
        """Have the thread end, and wait for it."""

        def enough() -> None:
            self.is_needed = False

        self.reactor.hand_over(enough)
        self.reactor.join(LIMIT_S)
        assert self.thread is None, "the thread is still there"

    @property
    def thread(self) -> threading.Thread | None:
        return self.reactor._thread


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Make a reactor, and end it."""
    loop = Loop()
    yield loop
    loop.end()
    loop.reactor.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe; its ends may be closed by the test."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def quiet(action: Callable[..., object], *args: Any) -> Callable[[], None]:
    """Return a callback that calls `action` and keeps what it returns to itself."""

    def do() -> None:
        action(*args)

    return do


def at_once(*actions: Callable[[], None]) -> None:
    """Do all of these on threads of their own that begin together."""
    barrier = threading.Barrier(len(actions))
    failures: list[BaseException] = []

    def do(action: Callable[[], None]) -> None:
        try:
            barrier.wait(LIMIT_S)
            action()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=do, args=(one,)) for one in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    assert failures == []


def test_callbacks_are_called_one_at_a_time(loop: Loop) -> None:
    """Whoever hands over or comes by, no two callbacks are ever called at once."""
    called: list[tuple[int, int]] = []

    def send(number: int) -> None:
        way = loop.reactor.post if number % 2 else loop.reactor.hand_over
        for i in range(300):
            way(quiet(loop.counted, quiet(called.append, (number, i))))

    at_once(*[quiet(send, number) for number in range(6)])
    loop.call(lambda: None)

    assert loop.most_inside == 1
    assert sorted(called) == [(number, i) for number in range(6) for i in range(300)]
    for number in range(6):
        assert [i for n, i in called if n == number] == list(range(300))


def test_no_wake_up_is_lost(loop: Loop) -> None:
    """What is posted while a step ends is called, though nothing else ever comes."""
    for _ in range(500):
        done = threading.Semaphore(0)
        ways = [loop.reactor.post, loop.reactor.hand_over, loop.reactor.post]
        at_once(*[quiet(way, quiet(done.release)) for way in ways])
        for _ in ways:
            assert done.acquire(timeout=LIMIT_S), "a wake-up was lost"


def test_no_wake_up_is_lost_when_the_thread_goes_and_comes(loop: Loop) -> None:
    """What is handed over while the thread decides to end starts another one."""
    loop.is_needed = False
    for _ in range(300):
        done = threading.Semaphore(0)
        at_once(*[quiet(loop.reactor.hand_over, quiet(done.release))] * 2)
        for _ in range(2):
            assert done.acquire(timeout=LIMIT_S), "a wake-up was lost"
    loop.is_needed = True


def test_a_chain_of_posts_is_followed(loop: Loop) -> None:
    """A callback that posts is not called again before it has ended."""
    order: list[int] = []
    done = threading.Event()

    def step(number: int) -> None:
        if number < 100:
            loop.reactor.post(lambda: loop.counted(lambda: step(number + 1)))
        else:
            done.set()
        order.append(number)

    loop.call(lambda: loop.counted(lambda: step(0)))
    assert done.wait(LIMIT_S)
    loop.call(lambda: None)

    assert order == list(range(101))
    assert loop.most_inside == 1


def test_who_comes_by_calls_it_at_once(loop: Loop) -> None:
    """A worker's thread that posts waits for no other thread."""
    threads: list[threading.Thread] = []
    loop.reactor.post(lambda: threads.append(threading.current_thread()))

    assert threads == [threading.current_thread()]
    assert loop.thread is None


def test_a_callers_thread_calls_nothing(loop: Loop) -> None:
    """What is handed over is called on the reactor's thread."""
    assert loop.call(threading.current_thread) is loop.thread


def test_timers_come_in_order_of_their_times(loop: Loop) -> None:
    """And in the order in which they were asked for, where those are equal."""
    came: list[str] = []
    done = threading.Event()

    def ask() -> None:
        later = loop.reactor.call_later
        later(0.04, done.set)
        later(0.02, lambda: came.append("third"))
        later(0.0, lambda: came.append("first"))
        later(0.0, lambda: came.append("second"))

    loop.call(ask)

    assert done.wait(LIMIT_S)
    assert came == ["first", "second", "third"]


def test_a_timer_is_noticed_from_any_thread(loop: Loop) -> None:
    """One that is asked for by a thread that came by wakes the reactor's."""
    loop.call(lambda: None)  # it sleeps, and nothing will wake it
    done = threading.Event()
    loop.reactor.post(quiet(loop.reactor.call_later, 0.01, done.set))

    assert done.wait(LIMIT_S)


def test_timers_from_many_threads_all_come(loop: Loop) -> None:
    """Threads that come by add timers while others are due."""
    came: list[int] = []
    done = threading.Event()

    def due(number: int) -> None:
        came.append(number)
        if len(came) == 600:
            done.set()

    def ask(first: int) -> None:
        for number in range(first, first + 150):
            delay_s = (number * 7919 % 31) / 2000
            loop.reactor.post(
                quiet(loop.reactor.call_later, delay_s, quiet(due, number))
            )

    loop.call(lambda: None)
    at_once(*[quiet(ask, first) for first in range(0, 600, 150)])

    assert done.wait(LIMIT_S)
    assert sorted(came) == list(range(600))
    assert loop.broken == []


def test_a_cancelled_timer_does_not_come(loop: Loop) -> None:
    """Nor does it keep others from coming; to cancel it again is nothing."""
    came: list[str] = []
    done = threading.Event()

    def ask() -> None:
        wrong = loop.reactor.call_later(0.0, lambda: came.append("wrong"))
        loop.reactor.call_later(0.02, done.set)
        wrong.cancel()
        wrong.cancel()

    loop.call(ask)

    assert done.wait(LIMIT_S)
    assert came == []


def test_a_timer_may_be_far_away(loop: Loop) -> None:
    """Selectors refuse to wait for ages; nobody notices."""
    timer = loop.call(lambda: loop.reactor.call_later(1e12, lambda: None))
    soon = threading.Event()
    loop.call(lambda: loop.reactor.call_later(0.001, soon.set))

    assert soon.wait(LIMIT_S)
    assert loop.broken == []
    timer.cancel()


def test_a_descriptor_is_watched_until_it_is_not(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    """Its callback comes whenever there is something, and no more after `cancel`."""
    reading, writing = pipe
    got: list[bytes] = []
    came = threading.Semaphore(0)

    def read() -> None:
        got.append(os.read(reading, 1))
        came.release()

    watch = loop.call(lambda: loop.reactor.watch(reading, selectors.EVENT_READ, read))
    for letter in (b"a", b"b"):
        os.write(writing, letter)
        assert came.acquire(timeout=LIMIT_S)
    loop.call(watch.cancel)
    loop.call(watch.cancel)
    os.write(writing, b"c")
    loop.call(lambda: None)

    assert got == [b"a", b"b"]


def test_a_descriptor_is_watched_from_any_thread(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    """A watch that is begun by a thread that came by is looked at."""
    reading, writing = pipe
    os.write(writing, b"a")
    came = threading.Event()
    loop.call(lambda: None)

    def read() -> None:
        os.read(reading, 1)
        came.set()

    loop.reactor.post(quiet(loop.reactor.watch, reading, selectors.EVENT_READ, read))

    assert came.wait(LIMIT_S)
    loop.call(lambda: loop.reactor.unwatch(reading, selectors.EVENT_READ))


def test_reading_and_writing_are_watched_apart(loop: Loop) -> None:
    """The end of one of them leaves the other."""
    ours, theirs = socket.socketpair()
    came: list[str] = []
    written, read = threading.Event(), threading.Event()

    def ask() -> None:
        def on_writable() -> None:
            came.append("writable")
            writable.cancel()
            written.set()

        def on_readable() -> None:
            came.append(ours.recv(1).decode())
            readable.cancel()
            read.set()

        watch = loop.reactor.watch
        readable = watch(ours.fileno(), selectors.EVENT_READ, on_readable)
        writable = watch(ours.fileno(), selectors.EVENT_WRITE, on_writable)

    with ours, theirs:
        loop.call(ask)
        assert written.wait(LIMIT_S)
        theirs.send(b"x")
        assert read.wait(LIMIT_S)

    assert came == ["writable", "x"]


def test_an_old_watch_does_not_end_a_new_one(loop: Loop, pipe: tuple[int, int]) -> None:
    """A descriptor's number may be another file's by the time of a late `cancel`."""
    reading, writing = pipe
    came = threading.Event()

    def ask() -> None:
        old = loop.reactor.watch(reading, selectors.EVENT_READ, lambda: None)
        old.cancel()

        def on_new() -> None:
            new.cancel()
            came.set()

        new = loop.reactor.watch(reading, selectors.EVENT_READ, on_new)
        old.cancel()

    loop.call(ask)
    os.write(writing, b"x")

    assert came.wait(LIMIT_S)


def test_a_callback_may_end_the_watch_of_another(loop: Loop) -> None:
    """Of two that are ready at once, the second is not called if the first ends it."""
    pipes = [os.pipe(), os.pipe()]
    came: list[int] = []
    done = threading.Event()

    def ask() -> None:
        watches: list[Watched] = []

        def end_all(number: int) -> None:
            came.append(number)
            for watch in watches:
                watch.cancel()
            done.set()

        for number, (reading, _) in enumerate(pipes):
            on_ready = quiet(end_all, number)
            watches.append(loop.reactor.watch(reading, selectors.EVENT_READ, on_ready))
        for _, writing in pipes:
            os.write(writing, b"x")

    loop.call(ask)
    assert done.wait(LIMIT_S)
    loop.call(lambda: None)
    for ends in pipes:
        for end in ends:
            os.close(end)

    assert len(came) == 1


def test_the_thread_ends_when_it_is_not_needed_and_comes_back(loop: Loop) -> None:
    """There is one thread at a time, while there is a need."""
    first = loop.call(threading.current_thread)
    assert first is loop.thread
    assert loop.call(threading.current_thread) is first

    loop.end()
    assert not first.is_alive()

    loop.is_needed = True
    second = loop.call(threading.current_thread)
    assert second is not first


def test_the_thread_ends_when_a_thread_that_came_by_ends_the_need(loop: Loop) -> None:
    """The last step of the last run may be a worker's: the thread hears of it."""
    thread = loop.call(threading.current_thread)

    def enough() -> None:
        loop.is_needed = False

    loop.reactor.post(enough)
    thread.join(LIMIT_S)

    assert not thread.is_alive()


def test_what_is_left_is_called_if_there_is_a_thread(loop: Loop) -> None:
    """`leave` takes no lock and starts nothing: for finalizers."""
    came: list[int] = []
    loop.reactor.leave(lambda: came.append(1))
    assert (loop.thread, came) == (None, [])

    loop.call(lambda: None)
    assert came == [1]

    left = threading.Event()
    loop.reactor.leave(left.set)
    assert left.wait(LIMIT_S)


@pytest.mark.parametrize("error", [ValueError("ours"), SystemExit(3)], ids=repr)
def test_a_callback_that_raises_reaches_broken(
    loop: Loop, error: BaseException
) -> None:
    """The thread goes on: whoever else has something to do must not hang."""

    def fail() -> None:
        raise error

    loop.reactor.hand_over(fail)
    loop.call(lambda: None)
    loop.reactor.post(fail)
    loop.call(lambda: loop.reactor.call_later(0.0, fail))
    came = threading.Event()
    loop.call(lambda: loop.reactor.call_later(0.001, came.set))
    assert came.wait(LIMIT_S)

    assert loop.broken == [error] * 3


def test_a_thread_that_cannot_start_is_not_waited_for(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets the error, nothing of it is done later, and the next one works."""
    came: list[str] = []

    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="can't start"):
            loop.reactor.hand_over(lambda: came.append("refused"))

    loop.call(lambda: came.append("accepted"))

    assert came == ["accepted"]


@pytest.fixture
def late(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> threading.Thread:
    """Interrupt the start of the reactor's thread; return that one, not yet started."""
    threads: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        threads.append(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_aside, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop.reactor.hand_over(lambda: None)
    return threads[0]


def test_a_thread_that_comes_too_late_goes_again(
    loop: Loop, late: threading.Thread
) -> None:
    """After a Ctrl-C in its start: one wake-up of two threads would reach one alone."""
    first = loop.call(threading.current_thread)

    late.start()
    late.join(LIMIT_S)

    assert not late.is_alive()
    assert loop.call(threading.current_thread) is first


def test_a_thread_that_comes_late_stays_if_it_is_alone(
    loop: Loop, late: threading.Thread
) -> None:
    """What is handed over after that starts no other."""
    here = threading.Event()
    loop.reactor.leave(here.set)
    assert loop.thread is None

    late.start()

    assert here.wait(LIMIT_S)
    assert loop.call(threading.current_thread) is late


def test_after_the_end_nothing_is_watched_and_no_time_comes(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    """Who closes has the owners of descriptors to itself; what is handed over comes."""
    read_fd, write_fd = pipe
    called = list[str]()

    def prepare() -> None:
        reactor = loop.reactor
        reactor.watch(read_fd, selectors.EVENT_READ, lambda: called.append("watch"))
        reactor.call_later(0.0, lambda: called.append("timer"))
        reactor.end()

    loop.call(prepare)
    loop.reactor.join(LIMIT_S)
    os.write(write_fd, b"x")
    for number in range(3):
        loop.call(partial(called.append, f"handed over {number}"))
        loop.reactor.join(LIMIT_S)

    assert called == [f"handed over {number}" for number in range(3)]


def test_what_is_handed_over_after_the_end_is_called() -> None:
    """Or its caller would wait for ever. The thread ends at once."""
    loop = Loop()
    loop.call(lambda: None)
    loop.end()
    loop.reactor.close()
    loop.reactor.close()
    loop.is_needed = True

    thread = loop.call(threading.current_thread)
    thread.join(LIMIT_S)

    assert not thread.is_alive()
    assert loop.broken == []


def test_nothing_is_written_to_a_descriptor_that_was_given_back() -> None:
    """Its number belongs to another file by then, and a finalizer may come late."""
    loop = Loop()
    loop.reactor.close()
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    try:
        loop.reactor.leave(lambda: None)
        loop.reactor.wake()
        loop.reactor.join(LIMIT_S)
        with pytest.raises(BlockingIOError):
            os.read(ends[0], 1)
    finally:
        for end in ends:
            os.close(end)
