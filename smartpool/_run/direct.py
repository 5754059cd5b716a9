"""Single calls that the engine need not see: sent, and answered, on the caller's thread.

::

    caller    submit: straight to an idle worker      result: polls ------- reads it
    worker                                  calls ------ answers
    engine    asleep: it does not listen to that worker as long as a caller does

Between two processes each thread that has to wake up costs as much as the rest of the
call. So who waits for a call whose worker has nothing else to tell reads the answer
itself: one caller at a time, who *leads*. Whatever else happens in the pool is a step
of the engine, which first takes all calls of this sort into its books: from there on they
are calls like others, and who led waits as others do.

Guarantees:

* A call is its leader's or the engine's: who takes it does so under the lock of steps.
* What a leader takes from the socket it has copied before. If it is interrupted just
  then, the outcome is that of the call, and the worker, of which nobody knows where it
  stands, is ended: it was idle, so that costs nothing.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from .._aside import SIGNAL_S
from .._backends.base import Answer, Chunk, Usage
from .._outcome import Outcome
from .._worker.pauses import Pauses
from .reactor import Reactor

if TYPE_CHECKING:
    from .calls import Call, Lane


class Direct:
    """One call that a caller's thread has placed, until it is over or the engine's.

    Attributes:
        lane: Where it would have waited.
        call: The call.
        chunk: What was placed of it: all.
        answer: How to read what becomes of it; `None` while it is being sent.
        adopted: It is the engine's.
        outcome: What became of it; `None` while that is not known.
        took: The seconds of wall time and of CPU that it took.
    """

    __slots__ = ("adopted", "answer", "call", "chunk", "lane", "outcome", "took")

    def __init__(self, lane: Lane, call: Call, chunk: Chunk) -> None:
        self.lane = lane
        self.call = call
        self.chunk = chunk
        self.answer: Answer | None = None
        self.adopted = False
        self.outcome: Outcome | None = None
        self.took = 0.0, 0.0

    def end(self) -> None:
        """Tell what became of it."""
        if self.outcome is not None:
            self.call.over(self.outcome, *self.took)

    @property
    def usage(self) -> Usage:
        """What it took, as the engine counts that."""
        wall_s, cpu_s = self.took
        return Usage(1, wall_s, cpu_s)


class Directs:
    """The direct calls of one engine.

    Args:
        reactor: Takes its steps.
        adopt: Take a call into the engine's books.
        finish: Take in that an adopted call is over.
    """

    def __init__(
        self,
        reactor: Reactor,
        adopt: Callable[[Direct], None],
        finish: Callable[[Direct], None],
    ) -> None:
        self._reactor = reactor
        self._adopt = adopt
        self._finish = finish
        self._open: dict[int, Direct] = {}
        self._leader: Direct | None = None
        self._wake_fd = -1
        self._pauses = Pauses()

    # -- on callers' threads ---------------------------------------------------------

    def add(self, direct: Direct) -> None:
        """Know of a call that is about to be sent."""
        direct.call.direct = partial(self.wait, direct)
        self._open[direct.chunk.id] = direct

    def wait(self, direct: Direct, timeout_s: float | None) -> None:
        """Wait until `direct` is over, or for so long, or until it is the engine's."""
        if self._leader is direct:  # two wait for it
            self._reactor.hand_over(_nothing)
            return
        try:
            if self._lead(direct):
                self._listen(direct, timeout_s)
        except BaseException:
            if direct.outcome is not None:
                self._reactor.hand_over(partial(self._recover, direct))
            raise
        finally:
            try:
                self._follow(direct)
            except BaseException:
                self._reactor.hand_over(partial(self._let_go, direct))
                raise

    def _lead(self, direct: Direct) -> bool:
        """Become the one that listens; return false if that cannot be."""
        answer = direct.answer
        if answer is None or not self._is_free(direct):
            return False
        try:
            with self._reactor.stepping:
                if not (self._is_free(direct) and self._can_wake()):
                    return False
                self._leader = direct
                return self._reactor.mute(answer.fd)
        finally:
            self._reactor.look_again()

    def _is_free(self, direct: Direct) -> bool:
        known = direct.adopted or direct.outcome is not None
        return self._leader is None and not known

    def _can_wake(self) -> bool:
        """Make sure of a descriptor that wakes a leader."""
        if self._wake_fd < 0 and hasattr(os, "eventfd") and not self._reactor.closed:
            with suppress(OSError):
                self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return self._wake_fd >= 0

    def _listen(self, direct: Direct, timeout_s: float | None) -> None:
        """Wait for something to come from the worker, and take it if it is the end."""
        assert direct.answer is not None
        poll = select.poll()
        poll.register(direct.answer.fd, select.POLLIN)
        poll.register(self._wake_fd, select.POLLIN)
        if not (direct.answer.spare_cpus and self._pauses.over(poll)):
            self._sleep(poll, direct, timeout_s)
        self._pauses.end()
        if self._take(direct, direct.answer):
            direct.end()

    def _sleep(
        self, poll: select.poll, direct: Direct, timeout_s: float | None
    ) -> None:
        """Wait until something has come, or for so long, or until it is the engine's.

        In steps: a signal that comes just before one is seen at its end.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        step_s = SIGNAL_S if timeout_s is None else min(SIGNAL_S, max(0.0, timeout_s))
        while not poll.poll(step_s * 1000) and not direct.adopted:
            if until_s is not None:
                step_s = min(SIGNAL_S, until_s - time.monotonic())
                if step_s <= 0:
                    return

    def _take(self, direct: Direct, answer: Answer) -> bool:
        """Take what has come if it is the end of the call; return whether it was."""
        try:
            with self._reactor.stepping:
                # Who is told of its end, beyond the caller, is told by the engine.
                if direct.adopted or not direct.call.quiet:
                    return False
                found = answer.look()
                if found is None:
                    return False
                direct.outcome, direct.took = found
                answer.take()
                self._open.pop(direct.chunk.id, None)
                self._let_go(direct)
                return True
        finally:
            self._reactor.look_again()

    def _follow(self, direct: Direct) -> None:
        """Leave the rest of it to the engine; nothing if there is none."""
        if self._leader is not direct:
            return
        try:
            with self._reactor.stepping:
                self._let_go(direct)
        finally:
            self._reactor.look_again()

    # -- in steps, or under their lock ------------------------------------------------

    def adopt_all(self) -> None:
        """Make all of them the engine's: before whatever it does."""
        for number, direct in list(self._open.items()):
            self._take_over(direct)
            self._adopt(direct)
            del self._open[number]

    def _take_over(self, direct: Direct) -> None:
        """Have who leads wait as others do."""
        direct.adopted = True
        direct.call.direct = None
        if self._leader is direct:  # until it has seen that
            self._listen_again(direct)
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def _let_go(self, direct: Direct) -> None:
        """Let others lead, and the engine listen to the worker."""
        if self._leader is not direct:
            return
        if not direct.adopted:
            self._listen_again(direct)
        elif self._wake_fd >= 0:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)
        self._leader = None  # last: who was interrupted comes here once more

    def _listen_again(self, direct: Direct) -> None:
        if direct.answer is not None:
            self._reactor.unmute(direct.answer.fd)

    def _recover(self, direct: Direct) -> None:
        """After an interrupt: the outcome is known, and where the worker stands is not."""
        assert direct.answer is not None
        self._take_over(direct)  # from who waits for it anew
        direct.answer.spoil()
        self._finish(direct)
        direct.end()

    def close(self) -> None:
        """Give back the descriptor. Nobody leads any more, or is woken already."""
        with self._reactor.stepping:
            fd, self._wake_fd = self._wake_fd, -1
            if fd >= 0:
                os.close(fd)

    def abandon(self) -> None:
        """After a fork, in the child: they are over, as all calls are."""
        for direct in self._open.values():
            direct.adopted = True
        self._open, self._leader = {}, None
        fd, self._wake_fd = self._wake_fd, -1
        if fd >= 0:
            os.close(fd)


def _nothing() -> None:
    """Have a step begin."""
