"""A small engine for the tests of one backend: a selector loop on a thread."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from smartpool._backends.base import Backend, Chunk, Item, Job, Said, Usage
from smartpool._outcome import Error, Outcome, Value

DEADLINE_S = 30.0


class FdWatch:
    def __init__(self, host: SelectorHost, fd: int, event: int) -> None:
        self.host, self.fd, self.event = host, fd, event

    def cancel(self) -> None:
        callbacks = self.host.callbacks.get(self.fd, {})
        if callbacks.pop(self.event, None) is not None:
            self.host.update(self.fd)


class Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class SelectorHost:
    """Implements `base.Host`, keeps what is told by chunk, and never swallows errors."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.callbacks: dict[int, dict[int, Callable[[], None]]] = {}
        self.timers: list[tuple[float, int, Timer]] = []
        self.posted: list[Callable[[], None]] = []
        self.wake_r, self.wake_w = os.pipe()
        os.set_blocking(self.wake_r, False)
        self.selector.register(self.wake_r, selectors.EVENT_READ)
        self.changed = threading.Condition()
        self.outcomes: dict[int, list[Outcome]] = {}
        self.usages: dict[int, Usage] = {}
        self.failures: list[str] = []
        self.stopping = False
        self.counter = itertools.count()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # What a backend asks for.

    def report(self, chunk: Chunk, outcomes: list[Outcome]) -> None:
        with self.changed:
            assert chunk.id not in self.usages, "reported after the end"
            self.outcomes.setdefault(chunk.id, []).extend(outcomes)
            self.changed.notify_all()

    def finish(
        self, chunk: Chunk, usage: Usage, outcomes: Sequence[Outcome] = ()
    ) -> None:
        with self.changed:
            assert chunk.id not in self.usages, "finished twice"
            if outcomes:
                self.outcomes.setdefault(chunk.id, []).extend(outcomes)
            assert usage.calls == len(self.outcomes.get(chunk.id, []))
            self.usages[chunk.id] = usage
            self.changed.notify_all()

    def post(self, callback: Callable[[], None]) -> None:
        with self.changed:  # or the loop may have called it, and closed, in between
            self.posted.append(callback)
            if not self.stopping:
                os.write(self.wake_w, b".")

    def said(self, chunk: Chunk | None, said: Said) -> None:
        said.deliver()

    def post_soon(self, callback: Callable[[], None]) -> None:
        self.post(callback)

    def watch(self, fd: int, callback: Callable[[], None]) -> FdWatch:
        return self.add(fd, selectors.EVENT_READ, callback)

    def watch_writable(self, fd: int, callback: Callable[[], None]) -> FdWatch:
        return self.add(fd, selectors.EVENT_WRITE, callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        at = time.monotonic() + delay_s
        heapq.heappush(self.timers, (at, next(self.counter), timer))
        return timer

    # The loop.

    def add(self, fd: int, event: int, callback: Callable[[], None]) -> FdWatch:
        assert event not in self.callbacks.get(fd, {})
        self.callbacks.setdefault(fd, {})[event] = callback
        self.update(fd)
        return FdWatch(self, fd, event)

    def update(self, fd: int) -> None:
        events = sum(self.callbacks.get(fd, {}))
        known = fd in self.selector.get_map()
        if events and known:
            self.selector.modify(fd, events)
        elif events:
            self.selector.register(fd, events)
        elif known:
            self.selector.unregister(fd)

    def run(self) -> None:
        while not self.stopping:
            try:
                self.turn()
            except BaseException:
                self.failures.append(traceback.format_exc())
                with self.changed:
                    self.changed.notify_all()

    def turn(self) -> None:
        timeout = None
        if self.timers:
            timeout = max(0.0, self.timers[0][0] - time.monotonic())
        for key, events in self.selector.select(timeout):
            if key.fd == self.wake_r:
                os.read(self.wake_r, 1 << 16)
                continue
            for event in (selectors.EVENT_READ, selectors.EVENT_WRITE):
                callback = self.callbacks.get(key.fd, {}).get(event)
                if events & event and callback is not None:
                    callback()
        while self.timers and self.timers[0][0] <= time.monotonic():
            timer = heapq.heappop(self.timers)[2]
            if timer.callback is not None:
                timer.callback()
        with self.changed:
            posted, self.posted = self.posted, []
        for callback in posted:
            callback()

    # For tests.

    def do(self, callback: Callable[[], Any]) -> Any:
        """Call it on the loop and return what it returned."""
        done = threading.Event()
        box: list[Any] = []

        def call() -> None:
            try:
                box.append(callback())
            finally:
                done.set()

        self.post(call)
        came = done.wait(DEADLINE_S)
        assert came, "the loop hangs"
        assert box, self.failures
        return box[0]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something told makes `condition` true."""
        with self.changed:
            met = self.changed.wait_for(
                lambda: bool(self.failures) or condition(), DEADLINE_S
            )
        assert not self.failures, "\n".join(self.failures)
        assert met, "nothing came"

    def close(self) -> None:
        self.post(lambda: setattr(self, "stopping", True))
        self.thread.join(DEADLINE_S)
        self.selector.close()
        os.close(self.wake_r)
        os.close(self.wake_w)
        assert not self.failures, "\n".join(self.failures)


class Bench:
    """A backend on a host, and short words for what tests do with it."""

    def __init__(self, make: Callable[[SelectorHost], Backend]) -> None:
        self.host = SelectorHost()
        self.backend = make(self.host)

    def chunk(
        self,
        fn: Callable[..., Any] | Job,
        *args: Any,
        observe: bool = False,
        **options: Any,
    ) -> Chunk:
        """Place items, one for each of `args`, as one chunk."""
        job = self.job(fn, **options) if not isinstance(fn, Job) else fn
        items = [Item(i, (arg,)) for i, arg in enumerate(args)]
        for item in items:
            self.backend.encode(item)
        chunk = Chunk(job, items, observe=observe)
        self.host.do(lambda: self.backend.place(chunk))
        return chunk

    def job(self, fn: Callable[..., Any], **options: Any) -> Job:
        job = Job(fn, **options)
        self.backend.prepare(job)
        return job

    def wait(self, chunk: Chunk) -> Usage:
        self.host.wait_for(lambda: chunk.id in self.host.usages)
        return self.host.usages[chunk.id]

    def outcomes(self, chunk: Chunk) -> list[Value | Error]:
        self.wait(chunk)
        return [outcome.load() for outcome in self.host.outcomes.get(chunk.id, [])]

    def map(self, fn: Callable[..., Any] | Job, *args: Any, **options: Any) -> Any:
        """Return the results of one chunk; raise what an item raised."""
        results = []
        for outcome in self.outcomes(self.chunk(fn, *args, **options)):
            if isinstance(outcome, Error):
                raise outcome.error
            results.append(outcome.value)
        return results

    def close(self) -> None:
        self.host.do(self.backend.close)
        self.host.close()
