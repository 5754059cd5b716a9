"""What goes over the socket between a worker and its parent: pure, no I/O.

A frame is a kind, a length and a body::

    parent -> worker    JOB       a function, and the surroundings it is called in
                        CHUNK     items of that job to call, one after the other
                        SURROUNDINGS   what jobs may be surrounded by
                        END_JOB   the run is over: drop its function
    worker -> parent    READY     started; sent once
                        UNINITIALIZED  its initializer failed: it goes
                        UNLOADED  the chunk's function could not be loaded here
                        SAID      a log record or a warning, at any time
                        OUTCOMES  records of items; the last one says `finished`

The first thing on the way to a worker is no frame but the preamble: a length of 8
bytes and a `marshal`led mapping, which the bootstrap reads before it can import us.

A *turn* counts the chunks that were sent to one worker, from 1. Answers name it, so
that one about a chunk that the parent has given up is told from one about the next.
Both ends are the same interpreter on the same host: native byte order, `marshal`.
"""

from __future__ import annotations

import marshal
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` would cost a worker 3 ms
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Final, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

Finish: TypeAlias = tuple[int, float, float, bytes]
"""What calling a chunk took: calls, seconds of wall time and of CPU, and a pickled
profile, which is empty if it was not asked for."""

JOB: Final = 1
CHUNK: Final = 2
END_JOB: Final = 3
READY: Final = 4
UNLOADED: Final = 5
OUTCOMES: Final = 6
UNINITIALIZED: Final = 7
SURROUNDINGS: Final = 8
SAID: Final = 9

RECORD_MADE: Final = 0  # what is said: the attributes of a log record,
WARNING: Final = 1  # or a warning: message, category, file, line

VALUE: Final = 0  # tags of a record: its bytes are a pickled result,
ERROR: Final = 1  # what the call raised,
UNLOADABLE: Final = 2  # or: arguments name what cannot be imported here; not called

HEADER: Final = Struct("=BQ")
_CHUNK: Final = Struct("=QQBBQ")
_SIZE: Final = Struct("=Q")
_CALL: Final = Struct("=BQ QQBBQ Q")  # header, chunk and size, for one item
_OUTCOMES: Final = Struct("=QBB")
_FINISH: Final = Struct("=QddQ")
RECORD: Final = Struct("=QBQ")
_ANSWER: Final = Struct("=BQ QBB QddQ QBQ")  # all of these, for one item

OBSERVE: Final = 1  # flags of a chunk
STOP_ON_ERROR: Final = 2
ALONE: Final = 4  # a single call of a caller who may make the next one at once
TOGETHER: Final = 8  # coroutines, side by side: outcomes come in any order

SCRATCH_BYTES: Final = 1 << 16
"""Frames below this are read many at once; larger ones into a buffer of their own.

A guess: the usual size of one read from a socket of this family."""


def frame(kind: int, *parts: Buffer) -> list[Buffer]:
    """Return the pieces of one frame, in order; large ones are not copied."""
    return [HEADER.pack(kind, sum(map(len, parts))), *parts]


class FrameReader:
    """Cuts a stream of bytes into frames, wherever the stream is torn.

    Read into what `space` returns, then tell `filled` how much came. Bodies are
    theirs who get them: they are not overwritten later.
    """

    def __init__(self) -> None:
        """Begin at the start of a frame."""
        self._scratch = bytearray(SCRATCH_BYTES)
        self._view = memoryview(self._scratch)
        self._used = 0
        self._kind = 0
        self._large: bytearray | None = None
        self._large_used = 0

    @property
    def amid(self) -> bool:
        """Whether a part of a frame has come."""
        return self._large is not None or self._used > 0

    def space(self) -> memoryview:
        """Return where the next bytes go: never empty."""
        if self._large is not None:
            return memoryview(self._large)[self._large_used :]
        return self._view[self._used :] if self._used else self._view

    def filled(self, count: int) -> list[tuple[int, Buffer]]:
        """Return the frames, as kind and body, that `count` more bytes completed."""
        if self._large is None:
            if not self._used and count >= HEADER.size:
                kind, length = HEADER.unpack_from(self._scratch)
                if HEADER.size + length == count:  # one frame, as a rule
                    return [(kind, bytes(self._view[HEADER.size : count]))]
            self._used += count
            return self._cut()
        self._large_used += count
        if self._large_used < len(self._large):
            return []
        body, self._large = self._large, None
        return [(self._kind, body)]

    def _cut(self) -> list[tuple[int, Buffer]]:
        frames: list[tuple[int, Buffer]] = []
        start = 0
        while self._used - start >= HEADER.size:
            kind, length = HEADER.unpack_from(self._scratch, start)
            end = start + HEADER.size + length
            if end > self._used:
                if HEADER.size + length > SCRATCH_BYTES:
                    self._begin_large(kind, length, start + HEADER.size)
                    return frames
                break
            frames.append((kind, bytes(self._scratch[start + HEADER.size : end])))
            start = end
        self._scratch[: self._used - start] = self._scratch[start : self._used]
        self._used -= start
        return frames

    def _begin_large(self, kind: int, length: int, start: int) -> None:
        """Give a frame that exceeds the scratch a buffer, with what of it is here."""
        self._kind, self._large = kind, bytearray(length)
        self._large_used = self._used - start
        self._large[: self._large_used] = self._scratch[start : self._used]
        self._used = 0


def pack_job(**fields: Any) -> list[Buffer]:  # noqa: ANN401 - what marshal takes
    """Return a `JOB` frame. The function's bytes go as the last part, uncopied.

    Its fields: `id`; `content` and `data`, the function's bytes (`None` if the worker
    still has them); `fingerprint`, of a function that travels by reference;
    `is_async`; `apart`, whether its buffers are in a memory file that comes along;
    `surroundings`, their number; `variables`, context variables; `cpus`, for what is
    nested.
    """
    data = fields.pop("data")
    head = marshal.dumps(fields | {"here": data is not None})
    return frame(JOB, _SIZE.pack(len(head)), head, data or b"")


def unpack_job(body: Buffer) -> dict[str, Any]:
    """Return the fields that were given to `pack_job`."""
    view = memoryview(body)
    (size,) = _SIZE.unpack_from(view)
    fields: dict[str, Any] = marshal.loads(view[_SIZE.size : _SIZE.size + size])
    here = fields.pop("here")
    fields["data"] = bytes(view[_SIZE.size + size :]) if here else None
    return fields


def pack_end_job(job_id: int) -> list[Buffer]:
    """Return an `END_JOB` frame."""
    return frame(END_JOB, _SIZE.pack(job_id))


def unpack_end_job(body: Buffer) -> int:
    """Return the id of the job that is over."""
    job_id: int = _SIZE.unpack(body)[0]
    return job_id


def pack_chunk(
    turn: int,
    job_id: int,
    flags: int,
    first: int,
    payloads: Iterable[Buffer],
    files: int = 0,
) -> list[Buffer]:
    """Return a `CHUNK` frame.

    Args:
        turn: Which chunk it is.
        job_id: Whose.
        flags: `OBSERVE`, `STOP_ON_ERROR`, `ALONE`, `TOGETHER`.
        first: The position of its first item.
        payloads: Its items.
        files: Memory files that come along, one for each payload that begins with
            `memory.APART`.
    """
    parts: list[Buffer] = [_CHUNK.pack(turn, job_id, flags, files, first)]
    for payload in payloads:
        parts += (_SIZE.pack(len(payload)), payload)
    return frame(CHUNK, *parts)


def pack_call(turn: int, job_id: int, flags: int, payload: Buffer) -> bytes:
    """Return what `pack_chunk` does for one item, which is small, in one piece."""
    size = len(payload)
    length = size + _CALL.size - HEADER.size
    head = _CALL.pack(CHUNK, length, turn, job_id, flags, 0, 0, size)
    return b"".join((head, payload))


def unpack_chunk(body: Buffer) -> tuple[int, int, int, int, list[memoryview], int]:
    """Return what was given to `pack_chunk`."""
    view = memoryview(body)
    turn, job_id, flags, files, first = _CHUNK.unpack_from(view)
    at = _CHUNK.size
    payloads: list[memoryview] = []
    while at < len(view):
        (size,) = _SIZE.unpack_from(view, at)
        at += _SIZE.size
        payloads.append(view[at : at + size])
        at += size
    return turn, job_id, flags, first, payloads, files


def pack_unloaded(turn: int, module: str, error: bytes) -> list[Buffer]:
    """Return an `UNLOADED` frame: the module that is missing, if any; what came."""
    return frame(UNLOADED, marshal.dumps((turn, module, error)))


def unpack_unloaded(body: Buffer) -> tuple[int, str, bytes]:
    """Return what was given to `pack_unloaded`."""
    turn, module, error = marshal.loads(body)
    return turn, module, error


def pack_outcomes(
    turn: int, records: Sequence[Buffer], finish: Finish | None, files: int = 0
) -> list[Buffer]:
    """Return an `OUTCOMES` frame of records that are packed already.

    Args:
        turn: Of which chunk.
        records: The records.
        finish: What calling the chunk took, if it is over.
        files: Memory files that come along, one for each record whose bytes begin
            with `memory.APART`.
    """
    head = _OUTCOMES.pack(turn, finish is not None, files)
    if finish is None:
        return frame(OUTCOMES, head, *records)
    calls, wall_s, cpu_s, profile = finish
    tail = _FINISH.pack(calls, wall_s, cpu_s, len(profile))
    return frame(OUTCOMES, head, tail, profile, *records)


def unpack_outcomes(body: Buffer) -> tuple[int, memoryview, Finish | None, int]:
    """Return what was given to `pack_outcomes`, the records still packed."""
    view = memoryview(body)
    turn, finished, files = _OUTCOMES.unpack_from(view)
    at = _OUTCOMES.size
    if not finished:
        return turn, view[at:], None, files
    calls, wall_s, cpu_s, size = _FINISH.unpack_from(view, at)
    at += _FINISH.size
    finish = calls, wall_s, cpu_s, bytes(view[at : at + size])
    return turn, view[at + size :], finish, files


def pack_answer(
    turn: int, wall_s: float, cpu_s: float, tag: int, data: Buffer
) -> bytes:
    """Return what `pack_outcomes` does for a chunk of one item that has been called."""
    size = len(data)
    length = size + _ANSWER.size - HEADER.size
    head = _ANSWER.pack(
        OUTCOMES, length, turn, True, 0, 1, wall_s, cpu_s, 0, 0, tag, size
    )
    return b"".join((head, data))


def unpack_answer(data: bytes) -> tuple[int, int, float, float, bytes] | None:
    """Return what became of a chunk of one item, if `data` is a frame that says so.

    Returns:
        Its turn, the tag, the seconds of wall time and of CPU, and the bytes of the
        outcome. `None` of anything else, less or more than that.
    """
    rest = len(data) - _ANSWER.size
    if rest < 0:
        return None
    (
        kind,
        length,
        turn,
        finished,
        files,
        calls,
        wall_s,
        cpu_s,
        profile,
        at,
        tag,
        size,
    ) = _ANSWER.unpack_from(data)
    if (
        size != rest
        or length != len(data) - HEADER.size
        or (kind, finished, files, calls, profile, at) != (OUTCOMES, True, 0, 1, 0, 0)
        or tag == UNLOADABLE
    ):
        return None
    return turn, tag, wall_s, cpu_s, data[_ANSWER.size :]


def unpack_records(view: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield the position of each item, the tag and the bytes of its outcome."""
    at = 0
    while at < len(view):
        position, tag, size = RECORD.unpack_from(view, at)
        at += RECORD.size
        yield position, tag, view[at : at + size]
        at += size


def pack_unloadable(module: str, error: bytes) -> bytes:
    """Return the bytes of an `UNLOADABLE` record."""
    name = module.encode()
    return _SIZE.pack(len(name)) + name + error


def unpack_unloadable(data: memoryview) -> tuple[str, memoryview]:
    """Return what was given to `pack_unloadable`."""
    (size,) = _SIZE.unpack_from(data)
    end = _SIZE.size + size
    return str(data[_SIZE.size : end], "utf-8"), data[end:]
