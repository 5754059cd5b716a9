"""A program that is killed: all that smartpool can be at goes on in it at once.

    python -m tests.killed FOLDER [forks] [c-code]

It says `ready` in FOLDER when everything has begun. With `forks` it has forked a child,
which lives until it is killed, and says its process id there;
with `c-code` a worker is in C code that holds the GIL.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from smartpool import SmartPool, run_parallel
from tests import called, submitted

SIZE = 1 << 20


def large(x: int) -> bytes:
    """Take a while, and return what travels in a memory file."""
    time.sleep(0.001 * (x % 3))
    return bytes(SIZE)


def again_and_again(call: Callable[[], object]) -> None:
    """Do it until the end, on a thread."""

    def calling() -> None:
        while True:
            call()

    threading.Thread(target=calling, daemon=True).start()


def main(folder: Path, *also: str) -> None:
    """Begin all of it, and wait to be killed."""
    data = bytes(SIZE)
    pool = SmartPool(2)
    runs = pool.run_parallel(large, range(4), backend="processes")
    assert len(runs) == 4
    again_and_again(lambda: pool.run_parallel(large, range(40), backend="processes"))
    again_and_again(lambda: pool.submit(submitted.same, data).result())
    again_and_again(lambda: run_parallel(submitted.same, range(200), hint="io"))
    if "c-code" in also:
        busy = SmartPool(1, backend="processes")
        busy.submit(called.spin_in_c, str(folder / "busy"))
        called.wait_until((folder / "busy").exists)
    if "forks" in also:
        child = os.fork()
        while child == 0:
            time.sleep(60)
        (folder / "child").write_text(str(child))
    (folder / "ready").touch()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
