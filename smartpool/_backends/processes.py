"""Items are called in worker processes.

::

    caller's thread   prepare, encode ............ pickle functions and arguments
                                                        |
    engine's thread   place -> queue -> Worker.send -> Channel ==socket==> Link
                                                                            |
      host.report, host.finish <- Placed <- Channel <==socket== Outbox <- call_chunk
                                    ^                             |
                                    +--- read after a death --- Board (shared memory)

A chunk goes to one worker and stays there, with three exceptions: the worker dies
before it has called an item of it; it cannot load the function; it cannot load an
item's arguments. Then the chunk comes back to the queue, in the latter two once its
pickle has been made anew, by value, on a thread of its own. All three are bounded, so
every chunk is finished in the end. What nobody tells us about a worker (that it died,
how) is learned from its pidfd or from the end of its socket.

Guarantees after a death: outcomes that the worker had finished are reported; the item
that it was calling, one at most, fails with `WorkerCrashError`, or with
`ItemTimeoutError` if the worker was killed for it; those after it have not been called,
and the chunk is finished without them. With `crash_retries` it is finished without the
item at fault, too, until that has been called often enough. Of coroutines that went
together in one worker all fail that had begun and not ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import ClassVar, Final

from .. import _fork
from .._decide.facts import BackendName, Profile
from .._errors import ItemTimeoutError, SmartPoolError
from .._lock import fork_guard
from .._observe.machine import machine
from .._observe.switches import run_delay_of_process_s
from .._outcome import Error, Outcome
from .._worker import wire
from .._worker.descriptors import close
from .._worker.memory import Packed, close_all_in_child
from .._worker.pickling import loads
from ._processes import payloads
from ._processes.answer import Answer
from ._processes.by_value import ByValue
from ._processes.deaths import Death
from ._processes.initializer import Uninitialized
from ._processes.placing import Care, Placing
from ._processes.said import Said
from ._processes.taking import take_in, take_some_in
from ._processes.worker import Placed, Worker
from .base import Chunk, Host, Item, Job, Usage

DEATHS_AT_MOST: Final = 3
"""Deaths in a row before any call after which an item is given up. A guess: one may
be bad luck, such as a machine out of memory for a moment."""


NOW_BYTES: Final = 1 << 14
"""A caller's thread sends chunks below this itself: they fit into any socket's buffer.
A guess."""


class Processes:
    """Worker processes that stay warm from one run to the next.

    Args:
        host: The engine.
        cpus: CPUs that each worker may use; thread pools of numerical libraries in
            it are capped to that.
    """

    name: ClassVar[BackendName] = "processes"
    travels: ClassVar[bool] = True
    stoppable: ClassVar[bool] = True

    def __init__(self, host: Host, *, cpus: int, care: Care | None = None) -> None:
        """Begin without workers."""
        self._host = host
        self._placing = Placing(host, self, cpus, care or Care(), self._on_no_start)
        self._spare_cpus = machine().cpus > 1
        self._broken: Uninitialized | None = None
        self._by_value = ByValue(host, self._give_back)
        _fork.register(self)

    def worker_pids(self) -> list[int]:
        """Return the process ids of all workers, those that are starting included."""
        return [worker.pid for worker in self._placing.workers]

    @property
    def broken(self) -> Outcome | None:
        """What every item comes to once the initializer has failed; else `None`."""
        return self._broken

    def bytes_sent(self) -> int:
        """Return how many bytes all workers together have been sent."""
        return self._placing.sent_bytes

    # On the caller's thread.

    def prepare(self, job: Job) -> None:
        """Pickle the function of `job`, with what is bound to it as it is now.

        Raises:
            NotPicklableError: If it cannot be pickled.
        """
        job.function = payloads.prepare(job)

    def encode(self, item: Item) -> None:
        """Pickle the arguments of `item`.

        Raises:
            NotPicklableError: If they cannot be pickled.
        """
        item.payload = payloads.encode_args(item)

    def place_now(self, chunk: Chunk, noted: Callable[[], None], /) -> Answer | None:
        """Send `chunk` to an idle worker at once, if one has its function.

        Only small chunks: the worker takes all of it, and this does not block.

        Args:
            chunk: What to place.
            noted: Called when there is such a worker, before it is sent anything.

        Returns:
            Where its answer comes; `None` if it was not placed.
        """
        if sum([_bytes_now(item.payload) for item in chunk.items]) > NOW_BYTES:
            return None
        reserved: list[Worker] = []
        placed = Placed(chunk)
        answer: Answer | None = None
        try:
            if not self._placing.reserve(chunk.job, reserved):
                for worker in reserved:
                    self._host.post_soon(partial(self._placing.rest, worker))
                return None
            noted()
            worker = reserved[0]
            spare = self._spare_cpus
            answer = Answer(self._host, self._placing, worker, placed, spare_cpus=spare)
            worker.send_now(placed, alone=spare)
        except OSError:
            self._host.post_soon(partial(self._take_back, reserved[0], placed))
        except BaseException:
            for worker in reserved:
                self._host.post_soon(partial(self._free, worker, placed))
            raise
        return answer

    # By the engine.

    def _take_back(self, worker: Worker, placed: Placed) -> None:
        """Place a chunk anew that a worker could not be sent."""
        if worker.placed is placed:
            worker.release()
            worker.kill()
            self._placing.put(placed, first=True)
            self._placing.dispatch()

    def _free(self, worker: Worker, placed: Placed) -> None:
        """Let go of a worker that was about to be sent a chunk, and perhaps was."""
        placed.cancelled = True
        if worker.placed is placed:
            worker.kill()
        elif not placed.sent:  # else it has been called, and all is done
            self._placing.rest(worker)
            self._finish(placed)

    def place(self, chunk: Chunk) -> None:
        """Have the items of `chunk` called as soon as there is a worker."""
        placed = Placed(chunk)
        if self._broken is not None:
            self._fail_all(placed, self._broken)
            return
        self._placing.put(placed)
        self._placing.dispatch()

    def ready(self) -> int:
        """Return how many workers have nothing to do."""
        return self._placing.ready

    def allow(self, job: Job) -> None:
        """Nothing to do: no chunk goes together here."""

    def recall(self, job: Job) -> None:
        """Nothing to do: no chunk goes together here."""

    def delay_s(self) -> float:
        """Return how long its workers were ready to run and had no CPU, together."""
        delays = [run_delay_of_process_s(one.pid) for one in self._placing.workers]
        return sum([delay for delay in delays if delay])

    def cancel(self, job: Job) -> None:
        """Begin no further call of `job`."""
        for worker, placed in self._placing.calling(job):
            placed.cancelled = True
            worker.stop()
        for placed in self._placing.take(job) + self._by_value.take(job):
            self._finish(placed)

    def kill(self, job: Job) -> None:
        """End the calls of `job` with their processes, and begin no further one."""
        for worker, _ in self._placing.calling(job):
            worker.kill()
        self.cancel(job)

    def kill_chunk(self, chunk: Chunk) -> None:
        """Do what `kill` does, for one chunk and not for the others of its job."""
        for worker, placed in self._placing.calling(chunk.job):
            if placed.chunk is chunk:
                placed.cancelled = True
                worker.kill()
        for placed in self._placing.take(chunk) + self._by_value.take(chunk):
            self._finish(placed)

    def lingers(self) -> bool:
        """Return whether there are workers: idle ones are to be ended one day."""
        return bool(self._placing.workers)

    def forget(self, job: Job) -> None:
        """Have workers drop the function of `job`."""
        for worker in self._placing.workers:
            worker.forget(job)

    def close(self) -> None:
        """Kill all workers and give back what they held. Finishes what is placed."""
        self._placing.close()
        for placed in self._placing.take() + self._by_value.take():
            self._finish(placed)

    def after_fork_in_child(self) -> None:
        """Let go of the workers in a child: they belong to the parent."""
        self._placing.abandon()
        close_all_in_child()

    # What workers say, passed on by their channels.

    def on_frame(self, worker: Worker, kind: int, body: wire.Buffer) -> None:
        """Take in what a worker says."""
        if kind == wire.READY:
            self._placing.up(worker)
        elif kind == wire.OUTCOMES:
            self._on_outcomes(worker, body)
        elif kind == wire.SAID:
            placed = worker.placed
            self._host.said(None if placed is None else placed.chunk, Said(body))
        elif kind == wire.UNINITIALIZED:
            self._break(worker, body)
        elif kind == wire.UNLOADED:
            self._on_unloaded(worker, body)
        self._placing.dispatch()

    def on_death(self, worker: Worker) -> None:
        """Sort out what a dead worker was calling, and replace it if need be."""
        placed = worker.release()
        self._placing.remove(worker)
        if placed is not None:
            self._deliver(placed, worker.unsent())
        death = worker.death()
        begun = worker.begun
        worker.close()
        if placed is not None:
            placed.wall_s += worker.busy_s()
            self._bury(placed, begun, death)
        elif worker.died_starting and (waiting := self._placing.first()) is not None:
            self._count_death(waiting, death)
        self._placing.dispatch()

    def _on_outcomes(self, worker: Worker, body: wire.Buffer) -> None:
        turn, records, finish, files = wire.unpack_outcomes(body)
        placed = worker.placed
        if placed is None or turn != worker.turn:
            close(worker.take(files))
            return
        with (
            fork_guard if files else nullcontext()
        ):  # until they are mapped, and closed
            fds = worker.take(files) if files else ()
            outcomes = self._take_in(placed, wire.unpack_records(records), fds)
        if finish is None:
            if outcomes:
                self._host.report(placed.chunk, outcomes)
            return
        worker.release()
        worker.called(placed.done - worker.begun)
        self._placing.rest(worker)
        _calls, wall_s, cpu_s, profile = finish
        placed.wall_s += wall_s
        placed.cpu_s += cpu_s
        if placed.unloadable is None or placed.cancelled:
            self._finish(placed, loads(profile) if profile else None, outcomes)
        else:
            if outcomes:
                self._host.report(placed.chunk, outcomes)
            self._reload(placed, placed.unloadable)

    def _on_unloaded(self, worker: Worker, body: wire.Buffer) -> None:
        turn, module, error = wire.unpack_unloaded(body)
        placed = worker.placed
        if placed is None or turn != worker.turn:
            return
        worker.release()
        self._placing.rest(worker)
        if placed.cancelled:
            self._finish(placed)
        else:
            content = worker.content(placed.chunk.job)
            self._by_value.function(placed, content, module, error)

    # Outcomes.

    def _deliver(
        self, placed: Placed, records: Iterable[tuple[int, int, memoryview]]
    ) -> None:
        """Report records of `placed`."""
        outcomes = self._take_in(placed, records)
        if outcomes:
            self._host.report(placed.chunk, outcomes)

    def _take_in(
        self,
        placed: Placed,
        records: Iterable[tuple[int, int, memoryview]],
        fds: Iterable[int] = (),
    ) -> list[Outcome]:
        """Take in records of `placed`; return what is to be reported in order.

        Of a chunk that goes together that is nothing: it has been reported.
        """
        if not placed.chunk.together:
            return take_in(placed, records, fds)
        positions, outcomes = take_some_in(placed, records, fds)
        self._report_some(placed, positions, outcomes)
        return []

    def _report_some(
        self, placed: Placed, positions: Sequence[int], outcomes: Sequence[Outcome]
    ) -> None:
        """Report items of a chunk that goes together; at its end, what they took."""
        if outcomes:
            nothing = Usage(0, 0.0, 0.0)
            self._host.report_some(placed.chunk, positions, outcomes, nothing)

    def _finish(
        self,
        placed: Placed,
        profile: Profile | None = None,
        last: Sequence[Outcome] = (),
        crashed: int | None = None,
    ) -> None:
        usage = Usage(
            placed.done, placed.wall_s, placed.cpu_s, profile, crashed=crashed
        )
        self._host.finish(placed.chunk, usage, last)

    def _fail_all(self, placed: Placed, outcome: Outcome) -> None:
        """Let `outcome` be what became of all items that are left, and finish it."""
        left = range(placed.next, len(placed.chunk.items))
        positions = left[:1] if placed.chunk.job.stop_on_error else left
        self._fail_at(placed, positions, [outcome] * len(positions))

    def _fail(self, placed: Placed, outcome: Outcome) -> None:
        """Let `outcome` be what became of the next item of a chunk, and finish it."""
        self._fail_at(placed, [placed.next], [outcome])

    def _fail_at(
        self, placed: Placed, positions: Sequence[int], outcomes: list[Outcome]
    ) -> None:
        """Report what became of items of a chunk, and finish it."""
        placed.done += len(outcomes)
        if placed.chunk.together:
            self._report_some(placed, positions, outcomes)
        else:  # they are the next ones
            self._host.report(placed.chunk, outcomes)
        self._finish(placed)

    # Going on after something went wrong.

    def _bury(self, placed: Placed, begun: int, death: Death) -> None:
        """Go on with a chunk whose worker died.

        An item whose outcome is known is at fault no more: the worker died before
        it could say that it had moved on.
        """
        called = death.called
        if placed.unloadable is not None and not placed.cancelled:
            self._reload(placed, placed.unloadable)
        elif placed.chunk.together and called is not None and not death.loading:
            placed.function.deaths = 0
            self._blame_all(placed, called, death)
        elif called is not None and called >= placed.done:
            placed.function.deaths = 0
            self._blame(placed, called, death)
        elif placed.done > begun or placed.cancelled:
            self._finish(placed)
        else:
            self._count_death(placed, death)

    def _blame(self, placed: Placed, called: int, death: Death) -> None:
        """Go on with a chunk of which a worker was calling one item when it died."""
        job, item = placed.chunk.job, placed.chunk.items[called]
        if death.overdue == death.called and job.item_timeout_s is not None:
            error = Error(ItemTimeoutError(item.index, job.item_timeout_s))
            self._fail_at(placed, [called], [error])
            return
        item.crashes += 1
        if placed.cancelled or item.crashes > job.crash_retries:
            error = _crash(item.index, death, item.crashes)
            self._fail_at(placed, [called], [error])
        else:
            self._finish(placed, crashed=item.index)

    def _blame_all(self, placed: Placed, last: int, death: Death) -> None:
        """Go on with a chunk that went together: all that had begun went down.

        Whose step it was nobody knows, and none may be called twice.
        """
        items = placed.chunk.items
        begun = [one for one in range(last + 1) if one not in placed.known]
        errors: list[Outcome] = [_crash(items[one].index, death) for one in begun]
        self._fail_at(placed, begun, errors)

    def _count_death(self, placed: Placed, death: Death) -> None:
        """Try again with a chunk of which the dead worker had called nothing."""
        function = placed.function
        function.deaths += 1
        if function.deaths >= DEATHS_AT_MOST:
            self._fail(placed, _crash(None, death))
        else:
            self._placing.put(placed, first=True)

    def _break(self, worker: Worker, body: wire.Buffer) -> None:
        """Do nothing any more: the initializer has failed, and would fail again."""
        worker.left = True
        if self._broken is None:
            self._broken = Uninitialized(bytes(body))
        for placed in self._placing.take():
            self._fail_all(placed, self._broken)

    def _on_no_start(self, placed: Placed, exc: Exception) -> None:
        """Let an item have failed for which no worker could be started."""
        error = SmartPoolError(f"no worker process could be started: {exc}")
        error.__cause__ = exc
        self._fail(placed, Error(error))

    def _reload(self, placed: Placed, unloadable: tuple[str, memoryview]) -> None:
        """Have arguments pickled anew that a worker could not load."""
        placed.unloadable = None
        self._by_value.arguments(placed, *unloadable)

    def _give_back(self, placed: Placed, failure: Outcome | None) -> None:
        """Go on with a chunk that has been pickled anew, or could not be."""
        if failure is None:
            self._placing.put(placed, first=True)
        else:
            self._fail(placed, failure)
        self._placing.dispatch()


def _bytes_now(payload: bytes | Packed | None) -> int:
    """Return how much of an item is sent: too much, if a descriptor has to go along."""
    if isinstance(payload, Packed):
        return NOW_BYTES + 1
    return len(payload or b"")


def _crash(index: int | None, death: Death, calls: int = 1) -> Error:
    from .._crash import crash_error  # loads multiprocessing: not before it is needed

    error = crash_error(index, death.code, death.peak_bytes, death.hint, calls)
    return Error(error)
