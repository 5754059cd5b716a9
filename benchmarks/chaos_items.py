"""What the workers of `benchmarks.chaos` call, and the faults that items bring along.

Light to import: workers start often there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

HERE = ("call", "unpickle", "pickle", "between", "idle", "sending")
"""Stages at which an item may end its own worker."""

_POSITION, _PHASE, _IDLE = 1, 2, 1  # words of a worker's board


@dataclass(frozen=True)
class Order:
    """What one item is to do.

    Attributes:
        key: Unique in the whole program.
        size: Bytes of its result.
        wait_s: Seconds that it waits.
        fails: Whether it raises.
        dies: The stage at which it ends its worker; empty for most.
        calls: File to which a line is added for each call.
    """

    key: int
    size: int
    wait_s: float
    fails: bool
    dies: str
    calls: str


class Parcel:
    """An order on its way, with so many bytes of ballast."""

    def __init__(self, order: Order, ballast: bytes) -> None:
        self.order = order
        self.ballast = ballast

    def __reduce__(self) -> Any:
        return unpack, (self.order, self.ballast)


def unpack(order: Order, ballast: bytes) -> Parcel:
    """Take an order out of its pickle, or die of it."""
    if order.dies == "unpickle":
        die()
    return Parcel(order, ballast)


class Deadly:
    """Ends the process in which it is pickled."""

    def __reduce__(self) -> Any:
        die()
        return Deadly, ()


def die() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def content(key: int, size: int) -> bytes:
    """Return what an item returns: to be known by its key."""
    return key.to_bytes(8, "little") * (size // 8 + 1)


def work(parcel: Parcel) -> Any:
    """Note the call; then do what the order says."""
    order = parcel.order
    line = f"{order.key} {os.getpid()}\n".encode()
    fd = os.open(order.calls, os.O_WRONLY | os.O_APPEND)
    os.write(fd, line)
    os.close(fd)
    if len(parcel.ballast) != order.size:
        raise AssertionError("the ballast was lost on its way")
    if order.wait_s:
        time.sleep(order.wait_s)
    if order.dies == "call":
        die()
    if order.dies == "pickle":
        return Deadly()
    if order.dies in ("between", "idle", "sending"):
        strike_later(order.dies)
    if order.fails:
        raise ValueError(order.key)
    return content(order.key, order.size)


def strike_later(stage: str) -> None:
    """Have a thread end this worker as soon as it has come to that stage."""
    board = _board()
    if board is None:
        return

    def has_come(words: Any) -> bool:
        if stage == "idle":
            return bool(words[_PHASE] == _IDLE)
        return bool(words[_POSITION] == 0)

    def wait() -> None:
        if stage == "sending":  # while the result is pickled, or on its way
            time.sleep(0.0005)
        else:
            until = time.monotonic() + 5
            while not has_come(board.words) and time.monotonic() < until:
                pass
        die()

    threading.Thread(target=wait, daemon=True).start()


def _board() -> Any:
    """Return this worker's board; `None` if this is no worker."""
    import gc

    kind = getattr(sys.modules.get("smartpool._worker.board"), "Board", None)
    return next((one for one in gc.get_objects() if type(one) is kind), None)
