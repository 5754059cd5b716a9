"""Starting a worker: an interpreter like ours, with nothing of the user's run twice.

`subprocess`, not `multiprocessing`: no `__main__` guard, no resource tracker, and
daemonic parents may have such workers. The bootstrap below imports what it needs of
the standard library while `sys.path` has neither the script's directory nor the
current one, so that a `struct.py` of the user's that lies there is not taken for it.
"""

from __future__ import annotations

import marshal
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..._lock import fork_guard
from ..._observe.interpreter import interpreter
from ..._worker import board, nesting

_ROOT: Final = str(Path(__file__).resolve().parents[3])
"""Where this package lies: the last resort of a worker that cannot find it."""

BOOTSTRAP: Final = f"""\
# a worker process of smartpool
def start():
    import sys, os, marshal, fcntl, mmap, struct, functools, _pickle
    sock, life, memory = map(int, sys.argv[1:])
    def read(size):
        data = b""
        while len(data) < size:
            more = os.read(sock, size - len(data))
            if not more:
                sys.exit()
            data += more
        return data
    preamble = marshal.loads(read(int.from_bytes(read(8), "little")))
    sys.path[:], sys.argv[:] = preamble["path"], preamble["argv"]
    try:
        from smartpool._worker.main import main
    except ImportError:
        sys.path.append({_ROOT!r})
        from smartpool._worker.main import main
    main(sock, life, memory, preamble)
start()
"""

CAPS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Libraries read these when they are imported; each would use all CPUs otherwise."""


@dataclass(slots=True, eq=False)
class Started:
    """A process that has been started, and our ends of what ties it to us.

    Attributes:
        preamble: What is to be sent to it first.
        lifeline: Write end of the pipe that tells the worker of our death.
        pidfd: Can be read when the process has ended; -1 where there is none.
    """

    process: subprocess.Popen[bytes]
    sock: socket.socket
    preamble: bytes
    board: board.Board
    lifeline: int
    pidfd: int


def command(executable: str) -> list[str]:
    """Return the command line of a worker, without its descriptors."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    named = {flag.split("=")[0] for flag in flags}
    for name, value in sys._xoptions.items():  # noqa: SLF001 - has no other name
        if name not in named:
            flags += ["-X", name if value is True else f"{name}={value}"]
    if "-P" not in flags:
        flags.append("-P")
    return [executable, *flags, "-c", BOOTSTRAP]


def environment(cpus: int) -> dict[str, str]:
    """Return our environment with thread pools capped, where the user has not said."""
    return caps(cpus) | os.environ


def caps(cpus: int) -> dict[str, str]:
    """Return the environment variables that cap thread pools to so many CPUs."""
    return dict.fromkeys(CAPS, str(max(1, cpus)))


def start(cpus: int, initializer: bytes = b"") -> Started:
    """Start a worker. Takes a millisecond or two; the worker is up 15 ms later.

    Raises:
        OSError: If there are no descriptors, processes, or memory left for it.
    """
    executable = interpreter()
    if executable is None:
        raise OSError("no Python interpreter was found to start workers with")
    with fork_guard:
        return _start(executable, cpus, initializer)


def _start(executable: str, cpus: int, initializer: bytes) -> Started:
    ours, theirs = socket.socketpair()
    opened = [ours.detach(), theirs.detach()]
    try:
        sock, there = opened
        opened += os.pipe()
        memory = _memory_file()
        opened.append(memory)
        shared = board.Board(memory)
        life, lifeline = opened[2:4]
        process = _popen(executable, cpus, (there, life, memory))
        pidfd = _pidfd(process.pid)
    except BaseException:
        _close(opened)
        raise
    _close((there, life, memory))
    connection = socket.socket(fileno=sock)
    preamble = _preamble(cpus, initializer)
    return Started(process, connection, preamble, shared, lifeline, pidfd)


def _popen(
    executable: str, cpus: int, fds: tuple[int, int, int]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command(executable), *map(str, fds)],
        stdin=subprocess.DEVNULL,
        env=environment(cpus),
        pass_fds=fds,
        process_group=0,
    )


def _preamble(cpus: int, initializer: bytes) -> bytes:
    """Return what the worker must know before its first import of ours."""
    preamble: dict[str, Any] = {
        "path": strings(sys.path),
        "argv": strings(getattr(sys, "argv", ["-c"])),
        "depth": nesting.depth + 1,
        "cpus": cpus,
        "initializer": initializer,
    }
    data = marshal.dumps(preamble)
    return len(data).to_bytes(8, "little") + data


def strings(words: Iterable[object]) -> list[str]:
    """Return those that are text: all that `marshal` takes and a path can be."""
    return [str(word) for word in words if isinstance(word, str)]


def _memory_file() -> int:
    """Return a descriptor of memory that has no name, as large as a board."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("smartpool", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, board.SIZE)
    return fd


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux; or it has gone and been reaped
        return -1


def _close(fds: tuple[int, ...] | list[int]) -> None:
    for fd in fds:
        os.close(fd)
