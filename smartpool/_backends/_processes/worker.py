"""One worker process, as the parent sees it: what it was sent, what it is at."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..._worker import board as words
from ..._worker import wire
from ..._worker.around import KEPT
from ..._worker.memory import MemoryFile, Packed
from ..._worker.pickling import PROTOCOL, plain_dumps
from ..._worker.shelf import LARGEST_BYTES, Shelf
from ..base import Chunk, Host, Item, Job, Watch
from . import ending
from .channel import Channel
from .deaths import Death, Vitals
from .payloads import Function
from .start import caps, start

_LOOK_AGAIN_S = 0.005
"""How often to look whether a worker has ended where no pidfd tells. A guess."""


IDLE_S: Final = 60.0
"""After so long without a chunk a worker goes: a guess. Longer than the pause between
two cells of a notebook; a new one costs 50 ms."""


@dataclass(frozen=True, slots=True)
class Care:
    """How the workers of a pool begin, and when they go.

    Attributes:
        initializer: Pickled function and arguments, called first; empty for none.
        most_calls: Items that one worker calls, at most.
        idle_s: Seconds without work after which it goes.
    """

    initializer: bytes = b""
    most_calls: int = sys.maxsize
    idle_s: float = IDLE_S


class Placed:
    """A chunk on its way through the backend, until it is finished.

    Attributes:
        done: Items whose outcome has been reported: the first ones, unless the chunk
            goes together.
        known: Positions of those, if it does.
        at: Position of the item, of such a chunk, that could not be loaded.
        wall_s: Seconds of calling so far.
        cpu_s: Seconds of CPU of that.
        cancelled: No further item of it is to be called.
        sent: A caller's thread has given it to its worker.
        missing: Modules that workers could not import for its arguments.
        unloadable: Of an item that could not be loaded and has not been dealt with:
            the missing module, and the error as it travels.
    """

    __slots__ = (
        "at",
        "cancelled",
        "chunk",
        "cpu_s",
        "done",
        "known",
        "missing",
        "sent",
        "unloadable",
        "wall_s",
    )

    def __init__(self, chunk: Chunk) -> None:
        """Begin with no item called."""
        self.chunk = chunk
        self.done = 0
        self.known: set[int] = set()
        self.at = 0
        self.wall_s = 0.0
        self.cpu_s = 0.0
        self.cancelled = self.sent = False
        self.missing: frozenset[str] = frozenset()
        self.unloadable: tuple[str, memoryview] | None = None

    @property
    def next(self) -> int:
        """The position of the item that comes next, or that held the others up."""
        return self.at if self.chunk.together else self.done

    def is_of(self, what: Job | Chunk | None) -> bool:
        """Return whether it is this chunk, or one of this job; `None` means any."""
        return what is None or what in (self.chunk.job, self.chunk)

    @property
    def function(self) -> Function:
        """The function of its job, as it travels now."""
        function: Function = self.chunk.job.function
        return function


class Listener(Protocol):
    """Who is told what a worker says. Always on the engine's thread."""

    def on_frame(self, worker: Worker, kind: int, body: wire.Buffer) -> None:
        """A frame came."""

    def on_death(self, worker: Worker) -> None:
        """The process has ended and been reaped; all that it sent has been told."""


class Worker:
    """A process and the channel to it; alive until its listener is told otherwise.

    Attributes:
        placed: What it is calling; `None` while it is idle or starting.
        turn: Which chunk that is, counted from 1.
        begun: Items of that chunk that were reported before it got it.
        ready: Whether it has said that it is up.
        doomed: It has ended, or is about to: nothing more can be asked of it.
        left: It went when it was asked to, or for a reason that is known.
        calls: Items that it has called.
        begun_s: When its start began, by `time.monotonic()`.
        rested_s: When it began to be idle.
        overdue: Position of the item for which it was killed, or `None`.
    """

    def __init__(self, host: Host, listener: Listener, cpus: int, care: Care) -> None:
        """Start the process.

        Raises:
            OSError: If it cannot be started.
        """
        self._vitals = Vitals()
        started = start(cpus, care.initializer)
        self._most_calls = care.most_calls
        self._host = host
        self._listener = listener
        self._process = started.process
        self._lifeline = started.lifeline
        self._pidfd = started.pidfd
        self._board = started.board
        self._channel = Channel(host, started.sock, self._on_frame, self._on_end)
        self._exit_watch: Watch | None = None
        self._killed = False
        self._jobs: dict[int, bytes] = {}
        self._shelf = Shelf()
        self._cpus = cpus
        self._surroundings: deque[int] = deque(maxlen=KEPT)
        self.doomed = self.left = False
        self.overdue: int | None = None
        self.calls = 0
        self.begun_s = time.monotonic()
        self.rested_s = 0.0
        self.placed: Placed | None = None
        self.turn = 0
        self.begun = 0
        self.ready = False
        self._sent_at = 0.0
        self._preamble = started.preamble

    def greet(self) -> None:
        """Send it what it needs to begin, and listen to it from now on."""
        if self._pidfd >= 0:
            self._exit_watch = self._host.watch(self._pidfd, self._look)
        self._channel.listen()
        self._channel.send([self._preamble])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def died_starting(self) -> bool:
        """Whether it came to nothing, and nobody knows why."""
        return not (self.ready or self.left)

    @property
    def sent_bytes(self) -> int:
        """All that it was sent."""
        return self._channel.sent_bytes

    def content(self, job: Job) -> bytes:
        """Return the name of the function that it was sent for `job`."""
        return self._jobs.get(job.id, b"")

    def has(self, job: Job) -> bool:
        """Return whether it has the function of `job` as that travels now."""
        function: Function = job.function
        return self.content(job) == function.content

    def send(self, placed: Placed) -> None:
        """Have it call the rest of a chunk, and send the function first if need be."""
        chunk = placed.chunk
        if not self.has(chunk.job):
            self._send_job(chunk.job)
        self.placed = placed
        self.turn += 1
        self.begun = placed.done
        self._sent_at = time.monotonic()
        flags = wire.OBSERVE * chunk.observe
        flags |= wire.STOP_ON_ERROR * chunk.job.stop_on_error
        flags |= wire.TOGETHER * chunk.together
        end = placed.done + min(len(chunk.items), self._most_calls - self.calls)
        payloads, files = _apart(chunk.items[placed.done : end])
        frame = wire.pack_chunk(
            self.turn, chunk.job.id, flags, placed.done, payloads, len(files)
        )
        self._channel.send(frame, files)

    def send_now(self, placed: Placed, *, alone: bool) -> None:
        """Do what `send` does, on a caller's thread, with a job that it has.

        The worker was idle, and is that thread's alone until this returns.

        Args:
            placed: What to have called.
            alone: Whether it may look for the next such call, for a moment, instead of
                going to sleep at once.

        Raises:
            OSError: If it has gone, or does not take all of it at once.
        """
        chunk = placed.chunk
        self.placed = placed
        placed.sent = True  # not before: an interrupt finds it in one of the two
        self.turn += 1
        self.begun = 0
        self._sent_at = time.monotonic()
        flags = wire.OBSERVE * chunk.observe | wire.ALONE * alone
        flags |= wire.STOP_ON_ERROR * chunk.job.stop_on_error
        payloads, _ = _apart(chunk.items)  # large ones do not come this way
        if len(payloads) == 1:
            frame = wire.pack_call(self.turn, chunk.job.id, flags, payloads[0])
        else:
            pieces = wire.pack_chunk(self.turn, chunk.job.id, flags, 0, payloads)
            frame = b"".join(pieces)
        if self._channel.send_now(frame) != len(frame):
            raise OSError("the worker does not read")

    @property
    def fd(self) -> int:
        """The descriptor by which it answers."""
        return self._channel.fd

    def look(self) -> bytes:
        """Return what could be read now, and leave it there: at most so much."""
        return self._channel.look()

    def skip(self, count: int) -> None:
        """Take bytes that `look` has returned."""
        self._channel.skip(count)

    @property
    def quiet(self) -> bool:
        """Whether all that it was sent has gone out."""
        return self._channel.quiet

    def take(self, count: int) -> list[int]:
        """Return descriptors that it has sent; they are the caller's to close."""
        return self._channel.take(count)

    def called(self, calls: int) -> None:
        """Count items that it has called."""
        self.calls += calls

    def dismiss(self) -> None:
        """Have it end by itself: nothing more will be sent."""
        self.doomed = self.left = True
        self._channel.end()

    def release(self) -> Placed | None:
        """Take back what it was calling: it is over, or the worker is."""
        placed, self.placed = self.placed, None
        return placed

    def stop(self) -> None:
        """Have it call no further item of what it is at."""
        self._board.words[words.STOP] = self.turn

    def forget(self, job: Job) -> None:
        """Have it drop the function of a job, if it has that."""
        if self._jobs.pop(job.id, None) is not None:
            self._channel.send(wire.pack_end_job(job.id))

    def kill(self) -> None:
        """Kill it and what it started. Its listener is told when it has ended."""
        if self._lifeline >= 0 and not self._killed:
            ending.kill_group(self.pid, self._pidfd)
            self.doomed = self._killed = True
        if self._pidfd < 0:
            self._host.call_later(_LOOK_AGAIN_S, self._look)

    def called_s(self) -> float | None:
        """Return how long the item has been called that it is at; `None`: at none.

        Of a worker that goes on it may be too much, if it moves on meanwhile.
        """
        shared = self._board.words
        began_ns = shared[words.STARTED_NS]
        if self.calling() is None:
            return None
        return (time.monotonic_ns() - began_ns) / 1e9

    def suspend(self) -> None:
        """Have it stand still, soon."""
        ending.send(self.pid, self._pidfd, signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        ending.send(self.pid, self._pidfd, signal.SIGCONT)

    def kill_overdue(self) -> None:
        """Kill it for the item that it is at, which has had its time."""
        self.overdue = self.calling()
        self.kill()

    def unsent(self) -> Iterator[tuple[int, int, memoryview]]:
        """Yield records of the present chunk that a dead worker had not sent yet."""
        if self._board.words[words.TURN] == self.turn:
            yield from wire.unpack_records(memoryview(bytes(self._board.unsent())))

    def calling(self) -> int | None:
        """Return the position of the item that it is calling, or was when it died."""
        shared = self._board.words
        if shared[words.TURN] != self.turn or shared[words.POSITION] == 0:
            return None
        return int(shared[words.POSITION]) - 1

    @property
    def loading(self) -> bool:
        """Whether it was not calling yet what it was sent."""
        return bool(self._board.words[words.PHASE] != words.CALLING)

    def death(self) -> Death:
        """Return what is known of how a dead worker ended."""
        code = ending.exit_code(self._process)
        peak_bytes = self._vitals.peak_bytes(ending.maxrss(self._process))
        hint = self._vitals.hint(code)
        return Death(
            self.calling(), self.overdue, code, peak_bytes, hint, loading=self.loading
        )

    def busy_s(self) -> float:
        """Return how long ago it was sent what it is calling."""
        return time.monotonic() - self._sent_at

    def reap(self, deadline: float) -> None:
        """Wait, until `time.monotonic()` is `deadline`, for the end of a killed one."""
        ending.reap_until(self._process, self._pidfd, deadline)

    def close(self) -> None:
        """Give back all that it holds here; the process has ended, or is to.

        The lifeline goes as well, so that it ends even if it could not be killed. A
        second call does what an interrupted one has left.
        """
        if self._exit_watch is not None:
            self._exit_watch.cancel()
        self._channel.close()
        self._board.close()
        self._close_descriptors()

    def abandon(self) -> None:
        """Let go of it in a child of ours, to which it does not belong.

        The fork may have come in the middle of anything, `close` included.
        """
        self._channel.abandon()
        self._board.close()
        with contextlib.suppress(OSError):
            self._close_descriptors()
        self._process.returncode = ending.UNKNOWN  # it is not for the child to reap

    def _close_descriptors(self) -> None:
        # Between striking off a number and closing it Python calls no signal handler:
        # none is lost, and none is closed twice, when it may be another file's.
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    def _send_job(self, job: Job) -> None:
        function: Function = job.function
        content, data = function.content, function.data
        known = content in self._shelf
        if function.file is None and len(data) < LARGEST_BYTES:
            self._shelf.take(content, b"")
        self._jobs[job.id] = content
        surroundings = function.surroundings
        if surroundings.number not in self._surroundings:
            self._surroundings.append(surroundings.number)
            fields = surroundings.fields(caps(self._cpus))
            self._channel.send(
                wire.frame(wire.SURROUNDINGS, plain_dumps(fields, PROTOCOL))
            )
        frame = wire.pack_job(
            id=job.id,
            content=content,
            data=None if known else data,
            apart=function.file is not None,
            fingerprint=function.fingerprint,
            is_async=job.is_async,
            surroundings=surroundings.number,
            variables=function.variables,
            cpus=job.cpus,
        )
        self._channel.send(frame, [function.file] if function.file else [])

    def _on_frame(self, kind: int, body: wire.Buffer) -> None:
        self._listener.on_frame(self, kind, body)

    def _on_end(self) -> None:
        """Deal with the end of the channel: nothing useful can come of it now."""
        self.kill()

    def _look(self) -> None:
        """Tell of the end if it has come. Called when the pidfd says so, or again.

        The order matters: what it sent is taken in first; then its group is killed,
        while its pid cannot be anybody else's yet; then it is reaped.
        """
        if self._lifeline < 0:  # closed meanwhile
            return
        self.doomed = self._killed = True
        self._channel.drain()
        ending.kill_group(self.pid, self._pidfd)
        if ending.reap(self._process):
            self._listener.on_death(self)
        else:
            self._host.call_later(_LOOK_AGAIN_S, self._look)


def _apart(items: Sequence[Item]) -> tuple[list[bytes], list[MemoryFile]]:
    """Return what of items goes through the socket, and their memory files."""
    payloads: list[bytes] = []
    files: list[MemoryFile] = []
    for item in items:
        payload = item.payload
        if isinstance(payload, Packed):
            payloads.append(payload.data)
            files.append(payload.file)
        else:
            payloads.append(payload or b"")
    return payloads, files
