"""What forks in a worker, for tests: light to import there."""

from __future__ import annotations

import os
import sys
from typing import Any

from tests.workloads import append, until_exists


def fork_and(how: str, path: str, x: Any) -> Any:
    """Fork; let the child end in a way, and return its exit code, and the item."""
    append(path, x)
    pid = os.fork()
    if pid == 0:
        if how == "exits":
            sys.exit(3)
        if how == "raises":
            sys.stderr.close()  # its traceback is of no interest
            raise ValueError(x)
        return "a result of the child"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), x


def fork_and_leave(path: str, x: Any) -> int:
    """Fork a child that goes on after the call, and return its process id."""
    pid = os.fork()
    if pid == 0:
        append(path, x)
        until_exists(path + ".release")
        os._exit(0)
    return pid


def memory_files(pid: int | str = "self") -> list[str]:
    """Return the descriptors of a process that are memory files of ours."""
    found: list[str] = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:  # the one of the listing
            continue
        if "memfd:smartpool" in link:
            found.append(name)
    return found
