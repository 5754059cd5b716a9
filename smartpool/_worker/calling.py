"""Calling the items of a chunk, one after the other.

For each item: look at the stop word; write the time, then the position; load the
arguments, call, pickle the result; make the outcome safe; only then move on. All that
runs code of the user lies between the two writes of the position, so a crash in
pickling is the item's, too.
"""

from __future__ import annotations

import os
import sys
from time import monotonic_ns, thread_time

from . import board as words
from . import nesting, wire
from .memory import Parcel
from .pickling import dumps_apart, loads, missing_module
from .raised import dump_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Final

    from .board import Board
    from .memory import Packed
    from .outbox import Outbox

    Payload = memoryview | Parcel
    Call = Callable[[Callable[..., Any], Payload], tuple[int, bytes | Packed]]


def call_chunk(
    board: Board,
    outbox: Outbox,
    fn: Callable[..., Any],
    first: int,
    payloads: Sequence[Payload],
    *,
    stop_on_error: bool,
    observe: bool,
) -> None:
    """Call `fn` for each of `payloads` until one fails or the parent says stop."""
    board.words[words.PHASE] = words.CALLING
    if len(payloads) == 1 and not (first or observe):
        _call_one(board.words, outbox, fn, payloads[0])
        return
    if observe:
        from .observing import observed

        finish = observed(
            lambda call: _timed(board, outbox, fn, first, payloads, stop_on_error, call)
        )
    else:
        finish = _timed(board, outbox, fn, first, payloads, stop_on_error, outcome)
    flush_streams()
    outbox.flush(finish)


def _call_one(
    shared: memoryview, outbox: Outbox, fn: Callable[..., Any], payload: Payload
) -> None:
    """Do what the loop does, for a chunk of one item: the short way to the answer.

    The general one costs a single call a tenth of its round trip (benchmarks/calls.py).
    """
    if shared[words.STOP] == shared[words.TURN]:
        outbox.flush((0, 0.0, 0.0, b""))
        return
    begin_ns, begin_cpu_s = monotonic_ns(), thread_time()
    shared[words.STARTED_NS] = begin_ns
    shared[words.POSITION] = 1
    tag, data = outcome(fn, payload)
    outbox.put(0, tag, data)
    shared[words.POSITION] = 0
    wall_s, cpu_s = (monotonic_ns() - begin_ns) / 1e9, thread_time() - begin_cpu_s
    flush_streams()
    if type(data) is bytes and tag != wire.UNLOADABLE and len(data) < SHORT_BYTES:
        outbox.flush_one(wall_s, cpu_s, tag, data)
    else:
        outbox.flush((int(tag != wire.UNLOADABLE), wall_s, cpu_s, b""))


SHORT_BYTES: Final = 1 << 14
"""Outcomes below this are copied into the frame that they go in. A guess."""


def outcome(fn: Callable[..., Any], payload: Payload) -> tuple[int, bytes | Packed]:
    """Call `fn` and return what became of it: a tag, and bytes. Never raises."""
    tag, args = load_arguments(payload)
    if tag != wire.VALUE:
        return tag, args
    try:
        # A list has the keywords, too: the calls of `submit` may have some.
        result = fn(*args) if type(args) is tuple else fn(*args[0], **args[1])
    except BaseException as exc:
        if nesting.forked:
            raise
        return raised(exc)
    if nesting.forked:  # what it shares with the worker is the worker's
        raise SystemExit
    del args  # before the result is pickled: they may be large
    return pickled(result)


def load_arguments(payload: Payload) -> tuple[int, Any]:
    """Return `VALUE` and what to call the function with, or what came instead."""
    buffers = None
    try:
        if isinstance(payload, Parcel):
            payload, buffers = payload.open()
        return wire.VALUE, loads(payload, buffers=buffers)
    except BaseException as exc:  # noqa: BLE001 - user code runs in there
        return unloadable(payload, buffers, exc)


def raised(exc: BaseException) -> tuple[int, bytes]:
    """Return the outcome of a call that raised `exc`."""
    return wire.ERROR, dump_error(exc.with_traceback(_below(exc.__traceback__)))


def pickled(result: object) -> tuple[int, bytes | Packed]:
    """Return the outcome of a call that returned `result`."""
    try:
        return wire.VALUE, dumps_apart(result)[0]
    except OSError as exc:
        return too_large(result, exc)
    except BaseException as exc:  # noqa: BLE001 - user code runs in there
        return unpicklable(result, exc)


def _below(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without its first frames that are ours, of no interest."""
    while traceback and traceback.tb_frame.f_code.co_filename.startswith(_HERE):
        traceback = traceback.tb_next
    return traceback


_HERE = os.path.dirname(__file__)


def unloadable(
    payload: Payload, buffers: list[memoryview] | None, exc: BaseException
) -> tuple[int, bytes]:
    """Return the outcome of an item whose arguments could not be loaded."""
    module = ""
    if isinstance(exc, _LOOKUP_ERRORS) and not isinstance(payload, Parcel):
        module = missing_module(payload, buffers)
    if not module:
        return wire.ERROR, dump_error(exc)
    return wire.UNLOADABLE, wire.pack_unloadable(module, dump_error(exc))


_LOOKUP_ERRORS = (ImportError, AttributeError)


def too_large(result: object, exc: OSError) -> tuple[int, bytes]:
    """Return the outcome of an item for whose result there is no memory."""
    from .._errors import NotPicklableError

    error = NotPicklableError(
        f"the result, of type {type(result).__qualname__}, cannot come back from a"
        f" worker process: there is no room for it in memory ({exc})"
    )
    return wire.ERROR, dump_error(error)


def unpicklable(result: object, exc: BaseException) -> tuple[int, bytes]:
    """Return the outcome of an item whose result cannot be sent back."""
    from types import CoroutineType

    from .._errors import NotPicklableError

    advice = 'Return plain data instead, or pass backend="threads".'
    if isinstance(result, CoroutineType):
        result.close()  # nobody awaits it
        advice = "Pass the async def itself as fn, or write one that awaits it."
    error = NotPicklableError(
        f"the result, of type {type(result).__qualname__}, cannot be pickled and so "
        f"cannot come back from a worker process: {exc!r}. {advice}"
    )
    return wire.ERROR, dump_error(error)


def _timed(
    board: Board,
    outbox: Outbox,
    fn: Callable[..., Any],
    first: int,
    payloads: Sequence[Payload],
    stop_on_error: bool,
    call: Call,
) -> wire.Finish:
    begin_ns, begin_cpu_s = monotonic_ns(), thread_time()
    outbox.begin(begin_ns)
    calls, end_ns = _loop(
        board.words, outbox, fn, first, payloads, stop_on_error, call, begin_ns
    )
    return calls, (end_ns - begin_ns) / 1e9, thread_time() - begin_cpu_s, b""


def _loop(
    shared: memoryview,
    outbox: Outbox,
    fn: Callable[..., Any],
    first: int,
    payloads: Sequence[Payload],
    stop_on_error: bool,
    call: Call,
    now_ns: int,
) -> tuple[int, int]:
    """Return how many were called, and when the last one ended."""
    turn = shared[words.TURN]
    position = first
    for payload in payloads:
        if shared[words.STOP] == turn:
            break
        shared[words.STARTED_NS] = now_ns
        shared[words.POSITION] = position + 1
        tag, data = call(fn, payload)
        outbox.put(position, tag, data)
        shared[words.POSITION] = 0
        now_ns = monotonic_ns()
        if tag == wire.UNLOADABLE:
            break
        position += 1
        if tag == wire.ERROR and stop_on_error:
            break
        outbox.flush_if_due(now_ns)
    return position - first, now_ns


def flush_streams() -> None:
    """Have what calls have written go out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S110 - none, full, closed, or the user's own
            pass
