"""Ending processes: whole groups, and whether or not somebody else reaps them.

A pid is ours to signal until it has been reaped. Where SIGCHLD is ignored the kernel
reaps by itself, and the number may then be another's; a pidfd never is.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import Final

_TO_GROUP: Final = 4
"""`PIDFD_SIGNAL_PROCESS_GROUP`, Linux 6.9."""

UNKNOWN: Final = 1 << 30
"""A return code that no process has."""


def send(pid: int, pidfd: int, number: signal.Signals) -> None:
    """Send a signal to the process alone; nothing if it has gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if pidfd >= 0:
            signal.pidfd_send_signal(pidfd, number)
        else:
            os.kill(pid, number)


def is_stopped(pid: int, *, unless_known: bool = True) -> bool:
    """Return whether the process, whose first thread calls the items, stands still.

    Args:
        pid: The process.
        unless_known: What to return where the system does not say.
    """
    try:
        # Not buffered: to close a buffer gives up the CPU 80 times on 3.13t, and the
        # engine's thread would be late where CPUs are busy.
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            state = file.read().rpartition(b") ")[2][:1]
    except OSError:  # there is no such file system; or the process has gone
        return unless_known
    return state in (b"T", b"t")


def kill_group(pid: int, pidfd: int) -> None:
    """Send SIGKILL to the group that `pid` leads, dead or alive but not yet reaped."""
    if pidfd >= 0:
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL, None, _TO_GROUP)
        except ProcessLookupError:
            return
        except OSError:  # an older kernel
            pass
        else:
            return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def reap(process: subprocess.Popen[bytes]) -> bool:
    """Reap `process` if it has ended, and return whether it has.

    Its `returncode` tells how, unless it was lost: then it is `UNKNOWN`. (`poll`
    would say 0 for that.)
    """
    if process.returncode is not None:
        return True
    try:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    except ChildProcessError:  # SIGCHLD is ignored, or somebody else waited for it
        process.returncode = UNKNOWN
        return True
    if pid == 0:
        return False
    process.returncode = os.waitstatus_to_exitcode(status)
    process.maxrss = usage.ru_maxrss  # type: ignore[attr-defined]  # with the other
    return True


def exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """Return how a reaped process ended, as `subprocess` has it; `None`: unknown."""
    return None if process.returncode == UNKNOWN else process.returncode


def maxrss(process: subprocess.Popen[bytes]) -> int:
    """Return `ru_maxrss` of a reaped process; 0 if it was lost."""
    return getattr(process, "maxrss", 0)


def reap_until(process: subprocess.Popen[bytes], pidfd: int, deadline: float) -> None:
    """Reap a process that has been killed; wait for its end until `deadline`."""
    while not reap(process) and (left_s := deadline - time.monotonic()) > 0:
        _wait(pidfd, left_s)


def _wait(pidfd: int, timeout_s: float) -> None:
    """Wait until the process has probably ended, or the time is up."""
    if pidfd < 0:
        time.sleep(min(0.002, timeout_s))  # a guess; only where there are no pidfds
        return
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(timeout_s * 1000)
