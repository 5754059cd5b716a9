"""The worker leaves when its parent dies, whatever it is doing.

The parent alone holds the write end of a pipe. On Linux the kernel watches the other
end for us: when the last writer is gone it sends `SIGKILL` to the worker's process
group, so C code that never lets go of the GIL is no obstacle, and subprocesses go as
well. Elsewhere a thread waits for the end of the pipe.
"""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import SIGKILL
else:  # `signal` would load `enum`, and 1 to 3 ms with it
    from _signal import SIGKILL


def hold(fd: int) -> None:
    """Tie this process group, which must be its own, to the pipe `fd`."""
    if not hasattr(fcntl, "F_SETSIG"):
        _watch_on_a_thread(fd)
        return
    fcntl.fcntl(fd, fcntl.F_SETSIG, SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    # A parent that died before this line has sent no signal, but left the pipe ended.
    try:
        os.read(fd, 1)
    except BlockingIOError:
        return
    _leave()


def let_go_in_children(fd: int) -> None:
    """Close `fd` in what the user forks: once, since the fork of a fork comes by too.

    By then the number may be another file's.
    """

    def close() -> None:
        nonlocal fd
        mine, fd = fd, -1
        if mine >= 0:
            os.close(mine)

    os.register_at_fork(after_in_child=close)


def _watch_on_a_thread(fd: int) -> None:
    from threading import Thread

    def wait() -> None:
        os.read(fd, 1)
        _leave()

    Thread(target=wait, name="smartpool lifeline", daemon=True).start()


def _leave() -> None:
    os.killpg(0, SIGKILL)
