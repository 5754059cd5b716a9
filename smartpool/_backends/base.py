"""The contract between the engine and a place where items are called.

All of it is owed by every backend; `tests/test_backend_contract.py` holds them to it.

Words: a *job* is what a backend has to know of a run, a *chunk* is some of its items
that are handed over in one go. The items of a chunk are called one after the other, in
order: so what is known of a chunk is a count, and the items after it have not been
called. Those of a chunk that goes `together` are called side by side, as many at once
as the job allows; they end in any order, and what is known is which of them have.

Threads: `prepare` and `encode` run user code (pickling) and are called on the
caller's thread, never on the engine's. All else is called by the engine, one call at
a time (never two at once), must not block and must not run user code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from itertools import count
from typing import Any, ClassVar, NamedTuple, Protocol

from .._decide.facts import BackendName, Profile
from .._outcome import Outcome
from .._worker.memory import Packed

Arguments = tuple[Any, ...] | list[Any]
"""What a function is called with: a tuple, or a list of a tuple and of keywords."""

_job_ids = count(1)
_chunk_ids = count(1)


class Item:
    """One element of the input.

    Attributes:
        index: Its place in the input, from 0.
        args: What `fn` is called with; one element an iterable.
        payload: The same in the form in which it travels; `None` until encoded.
        kwargs: What `fn` is called with by keyword, if anything.
        crashes: How often a worker has died while it was calling this item. Once it
            has, the item makes up a chunk of its own.
    """

    __slots__ = ("args", "crashes", "index", "kwargs", "payload")

    def __init__(
        self,
        index: int,
        args: tuple[Any, ...],
        payload: bytes | Packed | None = None,
        kwargs: dict[str, Any] | None = None,
        crashes: int = 0,
    ) -> None:
        self.index: int = index
        self.args: tuple[Any, ...] = args
        self.payload: bytes | Packed | None = payload
        self.kwargs: dict[str, Any] | None = kwargs
        self.crashes: int = crashes

    @property
    def arguments(self) -> Arguments:
        """What `fn` is called with."""
        return [self.args, self.kwargs] if self.kwargs else self.args


class Job:
    """What a backend has to know of a run.

    Attributes:
        fn: What is to be called.
        is_async: Whether its calls must be awaited.
        stop_on_error: Whether a chunk ends at its first error.
        context: Context variables in which threads and the event loop call `fn`,
            each call in a copy of its own.
        cpus: CPUs that a call may use at most, for what is nested in it.
        item_timeout_s: Seconds that a call may take. One that takes longer is ended or
            let go, and its outcome is an `ItemTimeoutError`.
        crash_retries: How often an item is called again whose worker has died.
        library_threads: Threads that a numerical library may use in each call; `None`:
            as many as it likes.
        at_once: Calls of its chunks that go together that may go on at once. Set by
            the engine, which calls `allow` when there may be more.
        most_at_once: How many of those went on at once, at most. Set by backends.
        id: Unique in this program.
        function: `fn` as the backend's `prepare` has it; theirs alone to read.
    """

    __slots__ = (
        "at_once",
        "context",
        "cpus",
        "crash_retries",
        "fn",
        "function",
        "id",
        "is_async",
        "item_timeout_s",
        "library_threads",
        "most_at_once",
        "stop_on_error",
    )

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        is_async: bool = False,
        stop_on_error: bool = True,
        context: Context | None = None,
        cpus: int = 1,
        item_timeout_s: float | None = None,
        crash_retries: int = 0,
        at_once: int = 1,
    ) -> None:
        self.fn: Callable[..., Any] = fn
        self.is_async: bool = is_async
        self.stop_on_error: bool = stop_on_error
        self.context: Context | None = context
        self.cpus: int = cpus
        self.item_timeout_s: float | None = item_timeout_s
        self.crash_retries: int = crash_retries
        self.library_threads: int | None = None
        self.at_once: int = at_once
        self.most_at_once: int = 0
        self.id: int = next(_job_ids)
        self.function: Any = None


class Chunk:
    """Items of one job that are called one after the other, in one place; or together.

    Attributes:
        observe: Whether to measure closely and return a profile with `Usage`.
        together: Whether its items are called side by side: on threads and on event
            loops; in worker processes those of an `async def`, all at once, where none
            has a limit of its own (`item_timeout_s`, `crash_retries`).
        id: Unique in this program, and growing.
    """

    __slots__ = ("id", "items", "job", "observe", "together")

    def __init__(
        self,
        job: Job,
        items: list[Item],
        *,
        observe: bool = False,
        together: bool = False,
    ) -> None:
        self.job: Job = job
        self.items: list[Item] = items
        self.observe: bool = observe
        self.together: bool = together
        self.id: int = next(_chunk_ids)


class Usage(NamedTuple):
    """What calling a chunk took.

    Attributes:
        calls: Items that were called.
        wall_s: Seconds from the first call to the end of the last; of items that went
            together the sum of what their calls took.
        cpu_s: Seconds of CPU used meanwhile by the threads that called them.
        profile: Only where the chunk asked to be observed.
        let_go: Items, by their indices, whose calls could not be stopped and go on, on
            their own (in this process).
        crashed: The item, by its index, whose worker died and that is to be called
            again: it was not reported.
    """

    calls: int
    wall_s: float
    cpu_s: float
    profile: Profile | None = None
    let_go: tuple[int, ...] = ()
    crashed: int | None = None


class Said(Protocol):
    """Something that a worker has said, besides outcomes."""

    def deliver(self) -> None:
        """Have it handled. Runs code of the user's, and does not raise."""


class Watch(Protocol):
    """Something asked of the engine that can be taken back."""

    def cancel(self) -> None:
        """Take it back; nothing if it is over."""


class Host(Protocol):
    """What the engine does for a backend. Every method may be called on any thread."""

    def report(self, chunk: Chunk, outcomes: list[Outcome]) -> None:
        """Tell what became of the next items of `chunk`, in their order."""

    def report_some(
        self,
        chunk: Chunk,
        positions: Sequence[int],
        outcomes: Sequence[Outcome],
        usage: Usage,
    ) -> None:
        """Tell what became of items of a chunk that goes together, in any order.

        And what their calls took. By the engine.
        """

    def finish(
        self, chunk: Chunk, usage: Usage, outcomes: Sequence[Outcome] = ()
    ) -> None:
        """Tell that `chunk` is over: exactly once for each chunk placed.

        And what became of its last items, as `report` does.

        Items that were not reported have not been called, but for one whose worker
        crashed and that is to be called again: they are called elsewhere. Of a chunk
        that goes together the usage counts what no report of some has counted.
        """

    def waits_for_clocks(self, job: Job) -> None:
        """Tell that the calls of `job` wait for clocks alone, and for nobody else."""

    def said(self, chunk: Chunk | None, said: Said) -> None:
        """Pass on what a worker has said, while it was at `chunk`, or at none."""

    def post_soon(self, callback: Callable[[], None]) -> None:
        """Do what `post` does, from a caller's thread, which takes no step."""

    def post(self, callback: Callable[[], None]) -> None:
        """Have `callback` called by the engine soon, when it calls nothing else."""

    def watch(self, fd: int, callback: Callable[[], None]) -> Watch:
        """Have `callback` called by the engine whenever `fd` can be read."""
        ...

    def watch_writable(self, fd: int, callback: Callable[[], None]) -> Watch:
        """Have `callback` called by the engine while `fd` can be written."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Watch:
        """Have `callback` called by the engine after `delay_s` seconds."""
        ...


class Answer(Protocol):
    """How a caller's thread reads what becomes of a chunk of one item that it placed.

    All but the two properties is used under the lock of the engine's steps.
    """

    @property
    def fd(self) -> int:
        """The descriptor to wait for; the engine watches it, too."""
        ...

    @property
    def spare_cpus(self) -> bool:
        """Whether there are CPUs to wait for it awake, for a moment."""
        ...

    def look(self) -> tuple[Outcome, tuple[float, float]] | None:
        """Return what came of the chunk if just that can be read; take nothing.

        And the seconds of wall time and of CPU that it took.
        """
        ...

    def take(self) -> None:
        """Take what `look` has seen, and let the worker wait for work."""

    def spoil(self) -> None:
        """By the engine: deal with a worker of which nobody knows where it stands."""


class Backend(Protocol):
    """A place where items are called."""

    name: ClassVar[BackendName]
    travels: ClassVar[bool]
    """Whether items leave this process, and so have to be encoded first."""
    stoppable: ClassVar[bool]
    """Whether a call that goes on can be ended."""

    @property
    def broken(self) -> Outcome | None:
        """What every item comes to here since the initializer failed, or `None`."""
        ...

    def prepare(self, job: Job) -> None:
        """Make `job` ready to be called here.

        Raises:
            NotPicklableError: If its function cannot travel.
        """

    def encode(self, item: Item) -> None:
        """Fill in `item.payload`.

        Raises:
            NotPicklableError: If the arguments cannot travel.
        """

    def place_now(self, chunk: Chunk, noted: Callable[[], None], /) -> Answer | None:
        """On a caller's thread: place `chunk` without the engine, if that can be.

        Args:
            chunk: What to place.
            noted: Called before anything is placed, if it is.

        Returns:
            Where its answer comes; `None` if it was not placed.
        """
        ...

    def place(self, chunk: Chunk) -> None:
        """Call the items of `chunk`, now or as soon as there is a worker."""

    def ready(self) -> int:
        """Return how many workers could call an item at once, without a start."""
        ...

    def delay_s(self) -> float:
        """Return how long its workers were ready to run and had no CPU, together.

        As far as that is known; it grows, but for workers that are there no more.
        """
        ...

    def allow(self, job: Job) -> None:
        """Begin calls of `job` of which `job.at_once` now allows more."""

    def recall(self, job: Job) -> None:
        """Finish its chunks that go together without the items that have not begun.

        Others may follow, on this backend too.
        """

    def cancel(self, job: Job) -> None:
        """Begin no further call of `job`; its chunks finish after what runs."""

    def kill(self, job: Job) -> None:
        """End the calls of `job` that go on; let go of what cannot be ended.

        All its chunks are finished before long, whatever their items do.
        """

    def kill_chunk(self, chunk: Chunk) -> None:
        """Do what `kill` does, for one chunk and not for the others of its job."""

    def lingers(self) -> bool:
        """Return whether there is something to see to though nothing is placed."""
        ...

    def forget(self, job: Job) -> None:
        """Drop what is kept for `job`: its run is over."""

    def close(self) -> None:
        """End all workers and calls, and give back what they held. Blocks briefly."""
