"""Calls of an `async def` in a worker, on a loop that stays as long as the worker.

What such a function keeps for its loop, a client with its connections, can be used by
the next call, as on the event loop of the parent's.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns, thread_time

from . import board as words
from . import nesting, wire
from .calling import flush_streams, load_arguments, pickled, raised
from .outbox import FLUSH_AFTER_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from contextvars import Context
    from typing import Any

    from .board import Board
    from .calling import Payload
    from .memory import Packed
    from .outbox import Outbox

    Arguments = tuple[Any, ...] | list[Any]

_loops: list[asyncio.AbstractEventLoop] = []


def loop() -> asyncio.AbstractEventLoop:
    """Return the worker's loop: a new one if a call has closed it."""
    if not _loops or _loops[0].is_closed():
        _loops[:] = [asyncio.new_event_loop()]
        asyncio.set_event_loop(_loops[0])
    return _loops[0]


class Awaited:
    """A coroutine function. Called, it waits for its end; or it begins in a task.

    Args:
        fn: The function.
        context: Each call is made in a copy of it; `None`: of the present one.
    """

    def __init__(
        self, fn: Callable[..., Coroutine[Any, Any, Any]], context: Context | None
    ) -> None:
        self._fn = fn
        self._context = context

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call it, and return what it returns in the end."""
        return loop().run_until_complete(self.begin(self.call([args, kwargs])))

    def call(self, arguments: Arguments) -> Coroutine[Any, Any, Any]:
        """Return the coroutine of a call."""
        if type(arguments) is list:
            return self._fn(*arguments[0], **arguments[1])
        return self._fn(*arguments)

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Have a coroutine awaited in a task, where the context variables are set."""
        context = None if self._context is None else self._context.copy()
        # Not by the loop's factory: that is the user's to set, to an eager one, say.
        return asyncio.Task(coroutine, loop=loop(), context=context)


def call_together(
    board: Board, outbox: Outbox, fn: Awaited, payloads: Sequence[Payload]
) -> None:
    """Call `fn` for all of `payloads`, side by side on the loop.

    First all arguments are loaded: what cannot be is found before anything is called,
    and the chunk can be sent again. While a call goes on, `POSITION` names the last one
    that has begun: they begin in order, so all up to that one have. Their outcomes come
    in any order.
    """
    begin_ns, begin_cpu_s = monotonic_ns(), thread_time()
    outbox.begin(begin_ns)
    together = _Together(board, outbox, fn)
    if together.load(payloads):
        board.words[words.PHASE] = words.CALLING
        loop().run_until_complete(together.call_all())
    board.words[words.POSITION] = 0
    flush_streams()
    wall_s, cpu_s = (monotonic_ns() - begin_ns) / 1e9, thread_time() - begin_cpu_s
    outbox.flush((together.calls, wall_s, cpu_s, b""))


class _Together:
    """The calls of one chunk.

    Attributes:
        calls: Calls that have ended.
    """

    def __init__(self, board: Board, outbox: Outbox, fn: Awaited) -> None:
        self._shared = board.words
        self._turn = self._shared[words.TURN]
        self._outbox = outbox
        self._fn = fn
        self._loaded: list[Arguments | tuple[int, bytes]] = []
        self._unloaded: dict[int, tuple[int, bytes]] = {}
        self._flushing = False
        self.calls = 0

    def load(self, payloads: Sequence[Payload]) -> bool:
        """Load all arguments; return false if some lack a module here."""
        for position, payload in enumerate(payloads):
            self._shared[words.POSITION] = position + 1
            tag, arguments = load_arguments(payload)
            if tag == wire.UNLOADABLE:
                self._outbox.put(position, tag, arguments)
                return False
            if tag == wire.ERROR:
                self._unloaded[position] = tag, arguments
            self._loaded.append(arguments)
        self._shared[words.POSITION] = 0
        return True

    async def call_all(self) -> None:
        """Call them, and return when all have ended."""
        loaded, self._loaded = self._loaded, []
        count = len(loaded)
        tasks = [
            self._fn.begin(self._call(position, loaded)) for position in range(count)
        ]
        await asyncio.wait(tasks)

    async def _call(self, position: int, loaded: list[Any]) -> None:
        """Call one, and see to its outcome."""
        if self._shared[words.STOP] == self._turn:
            return
        self._shared[words.POSITION] = position + 1
        unloaded = self._unloaded.get(position)
        if unloaded is not None:
            self._put(position, *unloaded)
            return
        arguments, loaded[position] = loaded[position], ()  # they may be large
        tag: int
        data: bytes | Packed
        try:
            result = await self._fn.call(arguments)
        except BaseException as exc:
            if nesting.forked:
                raise
            tag, data = raised(exc)
        else:
            if nesting.forked:  # what it shares with the worker is the worker's
                raise SystemExit
            tag, data = pickled(result)
        self._put(position, tag, data)

    def _put(self, position: int, tag: int, data: bytes | Packed) -> None:
        self._outbox.put(position, tag, data)
        self.calls += 1
        if not self._flushing:
            self._flushing = True
            loop().call_later(FLUSH_AFTER_NS / 1e9, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._outbox.flush()
