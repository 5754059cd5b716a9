"""A thread that waits for descriptors and for times, and calls back.

Everything it calls runs one at a time, under one lock, on this thread or on a thread
that came by (`post`): so the engine's state needs no lock of its own, and nobody ever
waits for this thread in order to go on.

The thread that hands work over must not be a caller's: a KeyboardInterrupt may hit
the main thread between any two bytecodes, and half a step would stay. Callers only
append and wake (`hand_over`).
"""

from __future__ import annotations

import heapq
import os
import select
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Final

from .. import _aside
from .._lock import Lock

Callback = Callable[[], None]
Ready = tuple[selectors.SelectorKey, int]

_Epoll: Final[type] = getattr(selectors, "EpollSelector", type(None))

PATIENCE_S: Final = 3600.0
"""Selectors refuse to wait for very long: after so long they are asked again."""


class Timer:
    """A time at which something is called; `cancel` takes it back."""

    __slots__ = ("at_s", "callback")

    def __init__(self, at_s: float, callback: Callback) -> None:
        self.at_s = at_s
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Take it back; nothing if it is over."""
        self.callback = None


class Watched:
    """A descriptor that is watched for one thing; `cancel` ends it."""

    def __init__(self, reactor: Reactor, fd: int, event: int) -> None:
        self._reactor, self._fd, self._event = reactor, fd, event
        self._over = False

    def cancel(self) -> None:
        """Watch it no more; nothing if that is over.

        The descriptor's number may belong to another file by then.
        """
        if not self._over:
            self._over = True
            self._reactor.unwatch(self._fd, self._event)


class Reactor:
    """Calls back when descriptors are ready, when times come, and when asked.

    Args:
        needed: Whether the thread has to stay alive; asked when it has nothing to do.
        broken: Called with an exception that a callback raised: our bug.
        begin: Called before each callback.

    Attributes:
        stepping: Held by whoever takes a step. Who holds it without taking one calls
            `look_again` afterwards.
    """

    def __init__(
        self,
        needed: Callable[[], bool],
        broken: Callable[[BaseException], None],
        begin: Callable[[], None],
    ) -> None:
        self._needed = needed
        self._broken = broken
        self._begin = begin
        self._events: deque[Callback] = deque()
        self.stepping: Lock = Lock()
        self._life = Lock()
        self._thread: threading.Thread | None = None
        self._joined: threading.Thread | None = None
        self._selector = selectors.DefaultSelector()
        self._epoll: select.epoll | None = None  # the selector's, once more
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._closed = False
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        self._watching: dict[int, dict[int, Callback]] = {}
        self.watch(self._read_fd, selectors.EVENT_READ, self._drain_wake_ups)

    # -- from any thread -----------------------------------------------------------

    def hand_over(self, callback: Callback) -> None:
        """Have `callback` called on the reactor's thread soon. For callers."""
        self._events.append(callback)
        try:
            self.wake()
        except Exception:
            with suppress(ValueError, IndexError):
                self._events.remove(callback)
            raise

    def leave(self, callback: Callback) -> None:
        """Leave `callback` for the thread, if it is there: takes no lock."""
        self._events.append(callback)
        self._write()

    def post(self, callback: Callback) -> None:
        """Call `callback` now, or leave it to whoever is calling something now.

        Not for callers' threads. No wake-up is lost: the one who holds the lock
        looks at the events again after it has let go.
        """
        self._events.append(callback)
        if not self.stepping.is_mine():  # else it is called at the end of that
            self._step()

    def look_again(self) -> None:
        """Have the thread look at what was left to who held `stepping`."""
        if self._events:
            self._write()

    def mute(self, fd: int) -> bool:
        """Let `fd` wake nobody until `unmute`; return whether that can be.

        Under the lock of steps. The end of a connection wakes the thread all the same.
        """
        if fd not in self._watching or self._closed:
            return False
        if self._epoll is None:
            if not isinstance(self._selector, _Epoll):
                return False
            self._epoll = select.epoll.fromfd(os.dup(self._selector.fileno()))
        self._epoll.modify(fd, 0)
        return True

    def unmute(self, fd: int) -> None:
        """Watch `fd` again for what it is watched for. Under the lock of steps."""
        known = self._watching.get(fd)
        if known is not None and self._epoll is not None and not self._closed:
            reads = select.EPOLLIN if selectors.EVENT_READ in known else 0
            writes = select.EPOLLOUT if selectors.EVENT_WRITE in known else 0
            self._epoll.modify(fd, reads | writes)

    @property
    def closed(self) -> bool:
        """Whether nothing is watched any more."""
        return self._closed

    def nudge(self) -> None:
        """Have the thread look whether it is still needed, if it is there."""
        self._write()

    def wake(self) -> None:
        """See to it that the thread is there, and looks at what was handed over."""
        with self._life:
            if self._thread is None:
                self._start_thread()
                return
        self._write()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        with self._life:  # one that is being started cannot be joined yet
            thread = self._thread
        # Kept: `threading` has a WeakSet of threads, and an interrupt in its callback,
        # which is called where the last reference goes, would be swallowed.
        self._joined = thread or self._joined
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def end(self) -> None:
        """Watch nothing and wait for no time any more; what is handed over is called.

        So whoever has waited for the thread after this has the descriptors' owners
        to itself: a thread that is started later touches none of them.
        """
        self._closed = True

    def close(self) -> None:
        """Give back descriptors. The thread must have ended.

        What is handed over after that is still called, on a thread that ends at once.
        A second call does what an interrupted one has left.
        """
        self.end()
        self._selector.close()
        if self._epoll is not None:
            self._epoll.close()
        # Their numbers may soon be another's: a late wake-up must not be written
        # there, and none be closed twice. Between striking off a number and closing
        # it Python calls no signal handler.
        fd, self._write_fd = self._write_fd, -1
        if fd >= 0:
            os.close(fd)
        fd, self._read_fd = self._read_fd, -1
        if fd >= 0:
            os.close(fd)

    def abandon(self) -> None:
        """Give back descriptors in a child, and forget what the parent sees to.

        The fork may have come in the middle of anything, on a thread that is not here.
        """
        self._life, self.stepping = Lock(), Lock()
        self._thread = None
        self._events, self._timers = deque(), []
        self.close()

    # -- from callbacks ------------------------------------------------------------

    def watch(self, fd: int, event: int, callback: Callback) -> Watched:
        """Call `callback` whenever `fd` is ready for `event`."""
        known = self._watching.get(fd, {})
        if known:
            self._selector.modify(fd, sum({*known, event}), known)
        else:
            self._selector.register(fd, event, known)
        known[event] = callback
        self._watching[fd] = known  # what was refused is not known
        self._write_if_elsewhere()
        return Watched(self, fd, event)

    def unwatch(self, fd: int, event: int) -> None:
        """End one `watch`; nothing if it has ended."""
        known = self._watching.get(fd)
        if known is None or known.pop(event, None) is None:
            return
        if known:
            self._selector.modify(fd, sum(known), known)
        else:
            del self._watching[fd]
            self._selector.unregister(fd)

    def call_later(self, delay_s: float, callback: Callback) -> Timer:
        """Call `callback` after `delay_s` seconds."""
        timer = Timer(time.monotonic() + delay_s, callback)
        heapq.heappush(self._timers, (timer.at_s, next(self._order), timer))
        self._write_if_elsewhere()
        return timer

    # -- the thread ----------------------------------------------------------------

    def _start_thread(self) -> None:
        self._thread = threading.Thread(
            target=self._run, name="smartpool-engine", daemon=True
        )
        try:
            _aside.start(self._thread)
        except BaseException:
            # There can be no more threads, or Ctrl-C came in between: the next call
            # may try. This one may run after all: `_enter` says whether it stays.
            if self._thread.ident is None:
                self._thread = None
            raise

    def _run(self) -> None:
        if not self._enter():
            return
        patience_s: float | None = 0.0
        while True:
            ready = self._select(patience_s)
            with self.stepping:
                for key, mask in ready:
                    self._call_ready(key.data, mask)
                self._call_due()
                self._call_posted()
                # Under the lock: others add timers when they step.
                patience_s = self._patience_s()
            if (self._closed or not self._needed()) and self._leave():
                return
            # Whoever posted while the lock was held has left it to its holder. Who
            # posts from here on finds the lock free.
            if self._events:
                patience_s = 0.0

    def _select(self, patience_s: float | None) -> list[Ready]:
        if self._closed:
            return []
        try:
            return self._selector.select(patience_s)
        except (OSError, ValueError) as exc:
            # Closed meanwhile, by us; or by somebody else, and nothing will work.
            if not self._closed:
                self._events.append(partial(self._broken, exc))  # a step, like others
            return []

    def _enter(self) -> bool:
        """Return whether this thread is the one: false if another was started since.

        Of two that wait for the same descriptors one wake-up would reach one alone, and
        the other would never know that all has been closed.
        """
        thread = threading.current_thread()
        with self._life:
            self._thread = self._thread or thread
            return self._thread is thread

    def _leave(self) -> bool:
        with self._life:
            if self._events or (self._needed() and not self._closed):
                return False
            self._thread = None
            return True

    def _step(self) -> None:
        """On a thread that came by: call what was posted, unless somebody does."""
        while self._events:
            try:
                if not self.stepping.acquire(blocking=False):
                    break
                self._call_posted()
            finally:  # an interrupt may come when it has just been acquired
                try:
                    self.stepping.release()
                except RuntimeError:
                    pass  # it was not
        if self._thread is not None and not self._needed():
            self._write()  # the thread may go, and does not know yet

    def _call_posted(self) -> None:
        while self._events:
            self._guarded(self._events.popleft())

    def _call_ready(self, known: dict[int, Callback], mask: int) -> None:
        for event, callback in list(known.items()):
            if event & mask and known.get(event) is callback:
                self._guarded(callback)

    def _call_due(self) -> None:
        now = time.monotonic()
        while not self._closed and self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                self._guarded(callback)

    def _guarded(self, callback: Callback) -> None:
        try:
            self._begin()
            callback()
        except BaseException as exc:  # noqa: BLE001 - nobody else could be told
            self._broken(exc)

    def _patience_s(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return min(PATIENCE_S, max(0.0, self._timers[0][0] - time.monotonic()))

    def _write_if_elsewhere(self) -> None:
        """Have the thread look at new descriptors and timers, if this is another."""
        if self._thread is not threading.current_thread():
            self._write()

    def _write(self) -> None:
        try:
            os.write(self._write_fd, b"\0")
        except BlockingIOError:
            pass  # it is full of wake-ups already
        except OSError:
            if not self._closed:  # pragma: no cover - somebody has closed it for us
                raise

    def _drain_wake_ups(self) -> None:
        try:
            while os.read(self._read_fd, 4096):
                pass
        except BlockingIOError:
            pass
