"""Unit: frames and records survive any way of tearing the stream; shelves agree."""

import os
import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from smartpool._worker import board as words
from smartpool._worker import wire
from smartpool._worker.board import Board
from smartpool._worker.link import Link
from smartpool._worker.outbox import Outbox
from smartpool._worker.shelf import KEPT, Shelf

bodies = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 3).map(lambda n: b"x" * (wire.SCRATCH_BYTES - 9 + n - 1)),
    st.integers(1, 3).map(lambda n: b"y" * (n * wire.SCRATCH_BYTES)),
)


def cut(reader: wire.FrameReader, stream: bytes, seed: int) -> list[tuple[int, bytes]]:
    """Feed `stream` in pieces of random size, as a socket may."""
    rng = random.Random(seed)
    found: list[tuple[int, bytes]] = []
    while stream:
        space = reader.space()
        count = min(len(space), len(stream), rng.choice([1, 9, 100, 70_000]))
        space[:count] = stream[:count]
        stream = stream[count:]
        found += [(kind, bytes(body)) for kind, body in reader.filled(count)]
    return found


@given(st.lists(st.tuples(st.integers(0, 255), bodies), max_size=6), st.integers())
def test_frames_come_out_as_they_went_in(
    frames: list[tuple[int, bytes]], seed: int
) -> None:
    """Wherever the stream is torn: the same kinds and bodies, in order."""
    stream = b"".join(b"".join(wire.frame(kind, body)) for kind, body in frames)

    assert cut(wire.FrameReader(), stream, seed) == frames


@given(st.integers(0, 3), st.integers(0, 9), st.lists(st.binary(max_size=50)))
def test_chunks(flags: int, first: int, payloads: list[bytes]) -> None:
    """A chunk's frame holds all that it was made of, empty payloads too."""
    _, *body = wire.pack_chunk(7, 8, flags, first, payloads, files=2)

    turn, job_id, *rest, views, files = wire.unpack_chunk(b"".join(body))

    assert (turn, job_id, rest, files) == (7, 8, [flags, first], 2)
    assert [bytes(view) for view in views] == payloads


def test_jobs() -> None:
    """No bytes and empty bytes of a function are two things."""
    for data in (None, b"", b"function"):
        _, *body = wire.pack_job(id=3, content=b"c", data=data)
        assert wire.unpack_job(b"".join(body)) == {
            "id": 3,
            "content": b"c",
            "data": data,
        }


def test_outcomes_with_and_without_a_finish() -> None:
    """Records and what the chunk took share a frame."""
    record = wire.RECORD.pack(2, wire.ERROR, 3) + b"abc"
    for finish in (None, (1, 2.0, 3.0, b"profile")):
        _, *body = wire.pack_outcomes(5, [record, record], finish, files=1)

        turn, records, came, files = wire.unpack_outcomes(b"".join(body))

        assert (turn, came, files) == (5, finish, 1)
        found = [(p, tag, bytes(data)) for p, tag, data in wire.unpack_records(records)]
        assert found == [(2, wire.ERROR, b"abc")] * 2


def test_an_unloadable_record() -> None:
    """The missing module and the error come apart again."""
    data = wire.pack_unloadable("módulo", b"error")

    module, error = wire.unpack_unloadable(memoryview(data))

    assert (module, bytes(error)) == ("módulo", b"error")


def memory() -> int:
    fd = os.memfd_create("test")
    os.ftruncate(fd, words.SIZE)
    return fd


class Recorder(Link):
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, pieces: list[wire.Buffer], fds: Sequence[int] = ()) -> None:
        self.sent.append(b"".join(pieces[1:]))


@given(st.lists(st.sampled_from([0, 5, 60_000, 262_000, 262_144, 300_000]), max_size=9))
def test_the_outbox_keeps_its_guarantee(sizes: list[int]) -> None:
    """After each `put`: all outcomes have been sent or lie in memory; in order."""
    fd = memory()
    ours, theirs = Board(fd), Board(fd)
    os.close(fd)
    link = Recorder()
    outbox = Outbox(ours, link)
    ours.words[words.TURN] = 4
    outbox.begin(0)

    for position, size in enumerate(sizes):
        outbox.put(position, wire.VALUE, bytes([position]) * size)
        known: list[tuple[int, int]] = []
        for body in link.sent:
            turn, records, finish, files = wire.unpack_outcomes(body)
            assert (turn, finish, files) == (4, None, 0)
            known += [(p, len(data)) for p, _, data in wire.unpack_records(records)]
        unsent = bytes(theirs.unsent())
        known += [(p, len(d)) for p, _, d in wire.unpack_records(memoryview(unsent))]
        assert known == list(enumerate(sizes[: position + 1]))

    del outbox
    ours.close()
    theirs.close()


@given(st.lists(st.tuples(st.integers(0, KEPT + 8), st.booleans()), max_size=200))
def test_two_shelves_agree(uses: list[tuple[int, bool]]) -> None:
    """What the parent believes that a worker has, it has."""
    theirs, mirror = Shelf(), Shelf()
    for number, again in uses:
        content = b"%d" % number
        known = content in mirror and not again
        mirror.take(content, b"")
        assert theirs.take(content, None if known else content * 2) == content * 2


@given(st.integers(0, 7), st.binary(max_size=50))
def test_a_call_is_a_chunk(flags: int, payload: bytes) -> None:
    """The short way to pack a chunk of one item comes to the same bytes."""
    pieces = wire.pack_chunk(7, 8, flags, 0, [payload])

    assert wire.pack_call(7, 8, flags, payload) == b"".join(pieces)


@given(st.sampled_from([wire.VALUE, wire.ERROR]), st.binary(max_size=50))
def test_an_answer_is_the_outcomes_of_one(tag: int, data: bytes) -> None:
    """The short way to pack them comes to the same bytes, and back."""
    record = wire.RECORD.pack(0, tag, len(data)) + data
    pieces = wire.pack_outcomes(7, [record], (1, 0.5, 0.25, b""))

    answer = wire.pack_answer(7, 0.5, 0.25, tag, data)

    assert answer == b"".join(pieces)
    assert wire.unpack_answer(answer) == (7, tag, 0.5, 0.25, data)


def test_what_is_no_answer() -> None:
    """Less than a frame, more than one, and what an answer may not be."""
    whole = wire.pack_answer(7, 0.5, 0.25, wire.VALUE, b"data")
    record = wire.RECORD.pack(0, wire.VALUE, 0)
    finish = 1, 0.5, 0.25, b""
    others = [
        wire.pack_outcomes(7, [record], None),
        wire.pack_outcomes(7, [record], (1, 0.5, 0.25, b"profile")),
        wire.pack_outcomes(7, [record], (2, 0.5, 0.25, b"")),
        wire.pack_outcomes(7, [record], finish, files=1),
        wire.pack_outcomes(7, [record, record], finish),
        wire.pack_outcomes(7, [wire.RECORD.pack(1, wire.VALUE, 0)], finish),
        wire.pack_outcomes(7, [wire.RECORD.pack(0, wire.UNLOADABLE, 0)], finish),
        wire.frame(wire.SAID, bytes(len(whole) - wire.HEADER.size)),
    ]

    assert wire.unpack_answer(whole) is not None
    for end in range(len(whole)):
        assert wire.unpack_answer(whole[:end]) is None
    assert wire.unpack_answer(whole + b"x") is None
    for pieces in others:
        assert wire.unpack_answer(b"".join(pieces)) is None
