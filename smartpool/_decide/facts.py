"""What deciding starts from: frozen records of facts, and nothing that acts.

Units are in the names: `_s` seconds, `_bytes` bytes, `share` from 0 to 1. A fact
that is not known is `None`, never a zero.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Hint = Literal["cpu", "io", "nogil"]
BackendName = Literal["serial", "threads", "processes", "event_loop"]

HINTS: tuple[Hint, ...] = ("cpu", "io", "nogil")
BACKENDS: tuple[BackendName, ...] = ("serial", "threads", "processes", "event_loop")


class Machine(NamedTuple):
    """What was found of the host and of this interpreter.

    Attributes:
        cpus: CPUs that this program may use at once, at least 1.
        cpus_why: Which limit gave that number, in words.
        gil: Whether the GIL is on at this moment.
        gil_why: Why it is on or off, in words.
        free_threaded: Whether this is a free-threaded build, whatever `gil` says.
        python: Version of the interpreter, such as ``"3.13.0"``.
        processes: Whether worker processes can be started here.
        processes_why: Why not, in words; empty where they can.
        max_open_files: The soft limit on descriptors; `None` where there is none.
        memory_bytes: Memory that this program may use; `None` if not known.
        depth: How many smartpool workers this program runs inside of.
    """

    cpus: int
    cpus_why: str
    gil: bool
    gil_why: str
    free_threaded: bool
    python: str
    processes: bool = True
    processes_why: str = ""
    max_open_files: int | None = None
    memory_bytes: int | None = None
    depth: int = 0


class Workload(NamedTuple):
    """What is known of a run before any item is called.

    Attributes:
        items: Items still to be called; `None` if the input does not say.
        is_async: Whether `fn` is an `async def`.
        hint: The user's word for the function, or `None`.
        backend: The backend that the user pinned, or `None`.
        max_workers: The user's bound, or `None`.
        chunksize: The user's chunk size, or `None`.
        unpicklable: Why the function cannot be sent to a worker; `None` if it can,
            or if nobody has tried yet.
        rebinds: A global or nonlocal name that `fn` rebinds, or `None`.
        warm_workers: Worker processes of the pool that are up already.
        modules: Modules that a worker has to import for the function, about.
        earlier_runs: Runs of the function before this one, so soon before it that workers
            which they had started would be up.
        capped: Whether threads of numerical libraries can be limited, and there are any.
        isolated: Why no item is to be called on the caller's thread, in words; `None` if
            they may be.
        ends_calls: Whether that is to end calls that take too long, or to outlive those
            that crash: only worker processes can.
    """

    items: int | None
    is_async: bool = False
    hint: Hint | None = None
    backend: BackendName | None = None
    max_workers: int | None = None
    chunksize: int | None = None
    unpicklable: str | None = None
    rebinds: str | None = None
    warm_workers: int = 0
    modules: int = 0
    earlier_runs: int = 0
    capped: bool = False
    isolated: str | None = None
    ends_calls: bool = False


class Profile(NamedTuple):
    """What the first real items showed when they were called.

    All times are of one item, on average. An unfinished profile is of an item that
    was still going on when it was taken: its times are lower bounds.

    Attributes:
        calls: Items that were called, at least 1.
        wall_s: Seconds an item took.
        cpu_s: Seconds of CPU it used on its own thread; `None` if not measured.
        delay_s: Seconds it was ready to run and had no CPU, at least; `None` if not
            known.
        late_s: How late, in all, a thread got the GIL that asked for it every
            millisecond meanwhile; `None` if not known.
        waited_s: The most of that in which it can have waited for the GIL: the rest
            is known to be something else; `None` if nothing of it is known.
        heart_delay_s: How long that thread was ready to run and had no CPU.
        heart_slept_s: How long it slept on purpose, and saw nothing.
        late_beats: Share of the times it asked at which it had to wait.
        others_share: CPU used by this program's other threads that run Python, as a
            share of the time the probe took.
        arg_bytes: Size of an item's arguments, pickled; `None` if not measured.
        result_bytes: Size of its result, pickled; `None` if not measured.
        pickle_s: Seconds to pickle and load both; `None` if not measured.
        unpicklable: Why an argument or a result cannot travel; `None` if it can,
            or if nobody has tried.
        contended: Whether threads were tried, and got into each other's way.
        finished: Whether the items measured had ended.
        where: Where they were called: ``"here"`` or ``"worker"``.
        native_share: CPU used by threads that are none of Python's (those of a numerical
            library, say), as a share of the time the probe took.
        at_once: Calls at once that a run ended with, whose calls wait; `None` if none
            has been measured.
    """

    calls: int
    wall_s: float
    cpu_s: float | None = None
    delay_s: float | None = None
    late_s: float | None = None
    waited_s: float | None = None
    heart_delay_s: float = 0.0
    heart_slept_s: float = 0.0
    late_beats: float = 0.0
    others_share: float = 0.0
    arg_bytes: int | None = None
    result_bytes: int | None = None
    pickle_s: float | None = None
    unpicklable: str | None = None
    contended: bool = False
    finished: bool = True
    where: Literal["here", "worker"] = "here"
    native_share: float = 0.0
    at_once: int | None = None

    @property
    def own_s(self) -> float:
        """Seconds an item took, less those that a busy machine added."""
        return max(0.0, self.wall_s - (self.delay_s or 0.0))


def together(one: Profile, other: Profile) -> Profile:
    """Return the profile of the items of both: means by their numbers.

    What is not known of one of them is not known.
    """
    calls = one.calls + other.calls

    def mean(first: float | None, second: float | None) -> float | None:
        if first is None or second is None:
            return None
        return (first * one.calls + second * other.calls) / calls

    return other._replace(
        calls=calls,
        wall_s=mean(one.wall_s, other.wall_s) or 0.0,
        cpu_s=mean(one.cpu_s, other.cpu_s),
        delay_s=mean(one.delay_s, other.delay_s),
        late_s=mean(one.late_s, other.late_s),
        waited_s=mean(one.waited_s, other.waited_s),
        heart_delay_s=mean(one.heart_delay_s, other.heart_delay_s) or 0.0,
        heart_slept_s=mean(one.heart_slept_s, other.heart_slept_s) or 0.0,
        late_beats=mean(one.late_beats, other.late_beats) or 0.0,
        others_share=max(one.others_share, other.others_share),
        native_share=mean(one.native_share, other.native_share) or 0.0,
    )


def at_pace(profile: Profile, item_s: float) -> Profile:
    """Return the profile of items that take `item_s` and do the same otherwise."""
    by = item_s / profile.own_s if profile.own_s > 0 else 1.0

    def scaled(seconds: float | None) -> float | None:
        return None if seconds is None else seconds * by

    return profile._replace(
        wall_s=profile.wall_s * by,
        cpu_s=scaled(profile.cpu_s),
        delay_s=scaled(profile.delay_s),
        late_s=scaled(profile.late_s),
        waited_s=scaled(profile.waited_s),
        heart_delay_s=profile.heart_delay_s * by,
        heart_slept_s=profile.heart_slept_s * by,
    )
