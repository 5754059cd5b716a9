"""What a test may leave behind, and a way to see it: nothing.

A `Snapshot` is taken before a test. After it, `left_behind` waits, up to a deadline,
for whatever is just ending, and returns what is there now and was not there then:
threads, native threads that Python does not know, processes, descriptors.

Processes are found in two ways: by their parents (children, their children, zombies
too), and by a mark in their environment, so that an orphan is found as well.
On systems without `/proc` only Python's own threads are seen.
"""

import gc
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

PROC = Path("/proc")
TASKS = PROC / "self" / "task"
DESCRIPTORS = PROC / "self" / "fd"
DEADLINE_S = 2.0 * 5  # the promise is 2 s; five times that on a machine that is busy
LONGEST_LOOK_S = 0.2  # a look and the pause after it count for no more: a virtual
# machine that stands still for the deadline has given nobody the time to end
MARK = "SMARTPOOL_TEST_MARK"
"""Environment variable that all processes started by a test session inherit."""


def mark_environment() -> str:
    """Put a mark of this session's own into the environment, and return it."""
    mark = f"<{uuid.uuid4().hex}>"
    os.environ[MARK] = os.environ.get(MARK, "") + mark
    return mark


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """One process; its start time tells it from a later one with the same id.

    What it has computed, with its children that have ended, is in ticks of the clock.
    """

    pid: int
    start: int
    parent: int
    session: int
    state: str
    command: str
    ticks: int = field(default=0, compare=False)

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended, and has only not been reaped yet."""
        return self.state == "Z"

    def __str__(self) -> str:
        """Return what helps to find where it came from."""
        return (
            f"process {self.pid} ({self.command!r}, state {self.state}, "
            f"child of {self.parent})"
        )


def process_of(pid: int) -> Process | None:
    """Return the process, or the thread, of that id; `None` if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            name, _, rest = file.read().partition(b"(")[2].rpartition(b")")
    except OSError:
        return None
    state, parent, _, session, *others = rest.split(None, 20)
    return Process(
        pid=pid,
        start=int(others[15]),
        parent=int(parent),
        session=int(session),
        state=state.decode(),
        command=name.decode(),
        ticks=sum(map(int, others[7:11])),
    )


def processes() -> Iterator[Process]:
    """Yield all that there are; none on systems without `/proc`."""
    if not PROC.is_dir():
        return
    for entry in os.listdir(PROC):
        if entry.isdigit() and (process := process_of(int(entry))) is not None:
            yield process


def _with_command(process: Process) -> Process:
    try:
        command = (PROC / str(process.pid) / "cmdline").read_bytes()
    except OSError:
        return process
    shown = command.replace(b"\0", b" ").decode("utf-8", "replace").strip()[:200]
    return replace(process, command=shown or process.command)


def _is_marked(pid: int, mark: str) -> bool:
    try:
        return mark.encode() in (PROC / str(pid) / "environ").read_bytes()
    except OSError:  # gone, or not ours
        return False


def descendants(mark: str | None = None) -> set[Process]:
    """Return every process below this one, and those elsewhere that carry `mark`."""
    everything = {process.pid: process for process in processes()}
    children: dict[int, list[Process]] = {}
    for process in everything.values():
        children.setdefault(process.parent, []).append(process)
    found: set[Process] = set()
    rest = [os.getpid()]
    while rest:
        for child in children.get(rest.pop(), ()):
            if child not in found:
                found.add(child)
                rest.append(child.pid)
    this = everything.pop(os.getpid(), None)
    if mark is not None and this is not None:
        found.update(
            process
            for process in everything.values()
            # What began before this program was not begun by it.
            if process.start >= this.start
            and process not in found
            and _is_marked(process.pid, mark)
        )
    return {_with_command(process) for process in found}


def native_threads() -> set[int]:
    """Return the ids of this process's threads, Python's and others'.

    Linux ends a listing early where the thread just listed is gone before the next is
    looked up: all younger threads are missing from it. It cannot happen twice in a row
    for one thread, so that two listings which agree are whole.
    """
    if not TASKS.is_dir():
        return set()
    listed, again = None, _listed_threads()
    while listed != again:
        listed, again = again, _listed_threads()
    return again


def _listed_threads() -> set[int]:
    return {int(name) for name in os.listdir(TASKS)}


def _native_thread(native_id: int) -> str:
    """Say what the kernel knows of a thread: its name, state, and where it waits."""
    thread = process_of(native_id)  # what is not listed there can be read all the same
    if thread is None:
        return f"native thread {native_id} (just gone)"
    waits_in = "unknown"
    with suppress(OSError):
        waits_in = (TASKS / str(native_id) / "wchan").read_text("utf-8")
    said = f"{thread.command}, state {thread.state}, in {waits_in}"
    return f"native thread {native_id} ({said})"


def descriptors() -> set[tuple[int, str]]:
    """Return this process's descriptors, each with what it refers to."""
    found: set[tuple[int, str]] = set()
    if not DESCRIPTORS.is_dir():
        return found
    for name in os.listdir(DESCRIPTORS):
        try:
            found.add((int(name), os.readlink(DESCRIPTORS / name)))
        except OSError:  # the one that the listing itself had open
            continue
    return found


class Snapshot:
    """What there was at one moment."""

    def __init__(self, mark: str | None = None) -> None:
        self.mark = mark
        self.threads = set(threading.enumerate())
        self.native = native_threads()
        self.processes = {(p.pid, p.start) for p in descendants(mark)}
        self.descriptors = descriptors()

    def now(self) -> list[str]:
        """Say what is there at this moment that was not there then."""
        threads = set(threading.enumerate()) - self.threads
        known = {thread.native_id for thread in threads}
        native = native_threads() - self.native - known
        return [
            *(f"thread {thread.name!r}" for thread in threads if thread.is_alive()),
            *(_native_thread(tid) for tid in sorted(native)),
            *(
                str(process)
                for process in sorted(descendants(self.mark))
                if (process.pid, process.start) not in self.processes
            ),
            *(
                f"descriptor {fd} ({target})"
                for fd, target in sorted(descriptors() - self.descriptors)
            ),
        ]


def left_behind(before: Snapshot, deadline_s: float | None = None) -> list[str]:
    """Say what is there beyond `before`, once `deadline_s` is over or nothing is."""
    rest_s = DEADLINE_S if deadline_s is None else deadline_s
    pause_s = 0.001
    while left := before.now():
        if rest_s <= 0:
            return left
        looked = time.monotonic()
        gc.collect()  # what only a reference cycle keeps alive was not left behind
        time.sleep(pause_s)  # the one thing that sees another process end is time
        pause_s = min(pause_s * 2, 0.05)
        rest_s -= min(time.monotonic() - looked, LONGEST_LOOK_S)
    return left
