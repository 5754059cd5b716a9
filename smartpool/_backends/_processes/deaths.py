"""How a worker died: what is asked of the system at its start and at its death."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from typing import Final

from ..._observe.cgroups import Groups, find_groups, oom_kills

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in, by getrusage(2): bytes on macOS, else kilobytes."""


def own_peak_bytes() -> int:
    """Return the most memory that this program has had; 0 if that is not known.

    `ru_maxrss` will do where there is no better: it may be that of another program,
    which this process was before, or which started it.
    """
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:  # as in `ending`
            return int(file.read().partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


@dataclass(frozen=True, slots=True)
class Death:
    """What is known of a worker's death.

    Attributes:
        called: Position in its chunk of the item that it was calling, or `None`. Of
            those of a chunk that goes together, the last that had begun.
        overdue: Position of the item for which it was killed, since that had taken
            longer than its `item_timeout`; `None` if it was not.
        code: How it ended, as `subprocess` has it; `None`: unknown.
        peak_bytes: The most memory that it had; `None` if not known.
        hint: What else speaks for a cause, in words; or "".
        loading: Whether it had not begun with its calls.
    """

    called: int | None
    overdue: int | None
    code: int | None
    peak_bytes: int | None
    hint: str
    loading: bool = False


class Vitals:
    """What the system says when a worker begins, to be compared when it dies."""

    _groups: Groups | None = None  # of this process, as they were found last

    def __init__(self) -> None:
        """Look, just before the worker begins."""
        self._kills = self._oom_kills()
        # The kernel lets a new program begin with the peak of who started it.
        self._inherited_bytes = own_peak_bytes()

    def peak_bytes(self, maxrss: int) -> int | None:
        """Return the worker's peak; `None` if `maxrss` may be this program's own."""
        peak_bytes = maxrss * _RSS_UNIT
        return peak_bytes if peak_bytes > self._inherited_bytes else None

    def hint(self, code: int | None) -> str:
        """Return whether processes were killed meanwhile for want of memory."""
        if code not in (None, -signal.SIGKILL):
            return ""
        for path, count in self._oom_kills().items():
            killed = count - self._kills.get(path, count)
            if killed > 0:
                times = "once" if killed == 1 else f"{killed} times"
                return (
                    "out of memory, it seems: while it lived the kernel ended a process"
                    f" of control group {path} {times} for want of memory"
                )
        return ""

    @classmethod
    def _oom_kills(cls) -> dict[str, int]:
        cls._groups = groups = find_groups(cls._groups)
        return oom_kills(groups)
