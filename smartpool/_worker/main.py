"""What a worker process does, from its first line of ours to its end.

::

    socket -> Link -> JOB, END_JOB -> Functions
                      CHUNK -------> call_chunk(function) -> Outbox -> Link -> socket
                                          |                    |
                                          +---- Board ---------+--> parent

One thread does it all. The worker ends when the socket does, which the parent closes
or leaves behind by dying; in the second case the lifeline is quicker.
"""

from __future__ import annotations

import os

from . import board as words
from . import lifeline, nesting, wire
from .around import Around
from .board import Board
from .calling import call_chunk
from .functions import Functions, Unloaded
from .link import Link
from .memory import Parcel, is_apart
from .outbox import Outbox
from .pickling import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from signal import SIGINT, signal
    from typing import Any

    from .calling import Payload
else:  # `signal` would load `enum`, and 1 to 3 ms with it
    from _signal import SIGINT, signal


def main(sock: int, life: int, memory: int, preamble: dict[str, Any]) -> None:
    """Serve the parent until it has no more to do.

    Args:
        sock: Descriptor of our end of the socket.
        life: Descriptor of the lifeline's read end.
        memory: Descriptor of the memory file that holds the board.
        preamble: `path`, `depth`, `cpus` and `initializer`.
    """
    for fd in (sock, life, memory):
        os.set_inheritable(fd, False)  # the user's subprocesses have no use for them
    lifeline.hold(life)
    lifeline.let_go_in_children(life)
    # A handler, not SIG_IGN, which subprocesses of the user would inherit.
    signal(SIGINT, lambda _signum, _frame: None)
    nesting.depth, nesting.cpus = preamble["depth"], preamble["cpus"]
    os.register_at_fork(after_in_child=_be_a_program)
    board = Board(memory)
    os.close(memory)
    link = Link(sock)
    try:
        if preamble["initializer"]:
            from .initializing import failure

            if why := failure(preamble["initializer"]):
                link.send(wire.frame(wire.UNINITIALIZED, why))
                return
        link.send(wire.frame(wire.READY))
        _Worker(board, link).serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent has gone: there is nobody to tell


def _be_a_program() -> None:
    """In what a call has forked: end, as a program does, where the call ends."""
    nesting.forked = True


class _Worker:
    def __init__(self, board: Board, link: Link) -> None:
        self._board = board
        self._link = link
        self._outbox = Outbox(board, link)
        self._around = Around(link)
        self._functions = Functions(self._around)

    def serve(self) -> None:
        self._board.words[words.PHASE] = words.IDLE
        while frames := self._link.receive():
            while frames:  # none is kept: arguments must not outlive their calls
                self._take(*frames.pop(0))

    def _take(self, kind: int, body: wire.Buffer) -> None:
        if kind == wire.CHUNK:
            self._call(body)
        elif kind == wire.JOB:
            job = wire.unpack_job(body)
            fds = self._link.arrived.take(1) if job["apart"] else []
            self._functions.accept(job, *fds)
        elif kind == wire.SURROUNDINGS:
            self._around.accept(loads(body))
        elif kind == wire.END_JOB:
            self._functions.drop(wire.unpack_end_job(body))

    def _parcels(self, views: list[memoryview], files: int) -> list[Payload]:
        """Return the payloads, each with its memory file if it has one."""
        fds = iter(self._link.arrived.take(files))
        return [Parcel(one, next(fds)) if is_apart(one) else one for one in views]

    def _call(self, body: wire.Buffer) -> None:
        turn, job_id, flags, first, views, files = wire.unpack_chunk(body)
        payloads = self._parcels(views, files) if files else views
        self._link.alone = bool(flags & wire.ALONE)
        shared = self._board.words
        shared[words.TURN] = turn
        shared[words.PHASE] = words.LOADING
        try:
            fn = self._functions.load(job_id)
        except Unloaded as why:
            self._link.send(wire.pack_unloaded(turn, why.module, why.error))
        else:
            self._call_all(fn, flags, first, payloads)
        for payload in payloads if files else ():
            if type(payload) is Parcel:  # of an item that was not called, perhaps
                payload.close()
        shared[words.PHASE] = words.IDLE

    def _call_all(
        self,
        fn: Callable[..., Any],
        flags: int,
        first: int,
        payloads: Sequence[Payload],
    ) -> None:
        if flags & wire.TOGETHER:
            from .awaiting import Awaited, call_together

            assert isinstance(fn, Awaited)
            call_together(self._board, self._outbox, fn, payloads)
            return
        call_chunk(
            self._board,
            self._outbox,
            fn,
            first,
            payloads,
            stop_on_error=bool(flags & wire.STOP_ON_ERROR),
            observe=bool(flags & wire.OBSERVE),
        )
