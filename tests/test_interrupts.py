"""End to end: Ctrl-C and `kill -9`, at any moment, leave one traceback and no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import smartpool
from tests import workloads
from tests.heavy import and_heavy
from tests.leaks import processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

ROOT = Path(smartpool.__file__).parent.parent
STOPPED_S = 5.0
"""The promise is 1 s; the machine may be busy."""

GONE_S = 5 * 2.0
"""The promise is 2 s."""

PREAMBLE = """\
import asyncio, itertools, os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # also under nohup
from smartpool import SmartPool, run_parallel, stream_parallel

path, process = sys.argv[1], os.getpid()

def began():
    fd = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"x\\n")
    os.close(fd)

def rest():
    # In short steps: a signal that comes just before a sleep begins is seen after it.
    for _ in range(600):
        time.sleep(0.1)

def wait(x):
    began()
    rest()

def spin(x):
    began()
    while True:
        pass

def short(x):
    began()
    time.sleep(0.002)
    return x

def compute(x):
    began()
    return sum(n * n for n in range(20_000))

async def awaits(x):
    began()
    await asyncio.sleep(60)

async def blocks(x):
    wait(x)

async def computes(x):
    spin(x)

async def goes_on(x):
    return x

def items():
    began()
    yield 1
    rest()
    yield 2

class Slow:
    def __reduce__(self):
        began()
        rest()

def nests(x):
    return run_parallel(wait, range(4), backend="processes", max_workers=2)
"""

PLACES = {
    "a long item of the probe that waits": "run_parallel(wait, range(10))",
    "a long item of the probe that computes": "run_parallel(spin, range(10))",
    "a long item of the probe, the input lazy": "run_parallel(spin, iter(range(9)))",
    "serial": "run_parallel(wait, range(10), backend='serial')",
    "threads that wait": "run_parallel(wait, range(9), backend='threads')",
    "threads that compute": (
        "run_parallel(spin, range(9), backend='threads', max_workers=2)"
    ),
    "processes that wait": (
        "run_parallel(wait, range(9), backend='processes', max_workers=2)"
    ),
    "processes that compute": (
        "run_parallel(spin, range(9), backend='processes', max_workers=2)"
    ),
    "an event loop": "run_parallel(awaits, range(1000))",
    "an event loop that is blocked": "run_parallel(blocks, range(9))",
    "an event loop that computes": "run_parallel(computes, range(9))",
    "chunks on processes": (
        "run_parallel(short, range(10**6), backend='processes', max_workers=2)"
    ),
    "chunks on threads": "run_parallel(short, range(10**6), backend='threads')",
    "what was decided for work": "run_parallel(compute, range(10**6))",
    "what was decided for waits": "run_parallel(short, range(10**6))",
    "a stream": (
        "sum(stream_parallel(short, itertools.count(), backend='processes',"
        " max_workers=2))"
    ),
    "a pool of one's own": (
        "\nwith SmartPool(max_workers=2) as pool:\n"
        "    pool.run_parallel(spin, range(9), backend='processes')"
    ),
    "input that blocks": "run_parallel(abs, items(), backend='threads')",
    "pickling": "run_parallel(id, [Slow()], backend='processes')",
    "a nested run": "run_parallel(nests, range(4), backend='processes', max_workers=2)",
}

MOMENTS = {"at the first call": (1, 0.0), "later": (1, 0.1)}
"""Calls that have begun, and seconds after that."""

EVERYWHERE = {
    "a long item of the probe that computes": "at the first call",
    "threads that compute": "later",
    "processes that wait": "at the first call",
    "processes that compute": "later",
    "an event loop": "at the first call",
    "chunks on processes": "later",
    "what was decided for work": "later",
    "a stream": "at the first call",
    "a nested run": "later",
}
"""What is tested on each interpreter: something of every backend, and each moment."""

PLACES_AND_MOMENTS = and_heavy(
    EVERYWHERE.items(),
    [
        (place, moment)
        for place in PLACES
        for moment in MOMENTS
        if EVERYWHERE.get(place) != moment
    ],
)


class Program:
    """A script in a session of its own, so that all that it starts can be found."""

    def __init__(self, code: str, path: Path, *args: str) -> None:
        self.path = path
        self.process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + code, str(path), *args],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def until_called(self, calls: int = 1) -> None:
        """Wait until so many calls have begun, in whatever process."""
        workloads.wait_until(
            lambda: (
                len(workloads.lines(self.path)) >= calls
                or self.process.poll() is not None
            )
        )
        assert self.process.poll() is None, self.process.communicate()

    def signal(self, number: int) -> None:
        """Send it a signal: to the process alone."""
        self.process.send_signal(number)

    def end(self, timeout_s: float) -> str:
        """Return its standard error, once it has ended."""
        return self.process.communicate(timeout=timeout_s)[1]

    def left(self) -> list[int]:
        """Return the processes of its session, zombies not counted."""
        return [
            process.pid
            for process in processes()
            if process.session == self.process.pid and not process.is_zombie
        ]

    def close(self) -> None:
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    programs: list[Program] = []
    yield programs
    for program in programs:
        program.close()


@pytest.mark.parametrize(("place", "moment"), PLACES_AND_MOMENTS)
def test_one_interrupt_stops_everything(
    place: str, moment: str, programs: list[Program], tmp_path: Path
) -> None:
    """Soon, with one traceback, the user's; nothing is left in its session."""
    program = Program(PLACES[place], tmp_path / "calls")
    programs.append(program)
    calls, delay_s = MOMENTS[moment]
    program.until_called(calls)
    time.sleep(delay_s)  # the moment itself is what is tested

    program.signal(signal.SIGINT)
    shown = program.end(STOPPED_S)

    assert shown.count("Traceback (most recent call last)") == 1, shown
    # From 3.14 on, pickle adds a note that says where it was.
    assert "\nKeyboardInterrupt\n" in shown + "\n", shown
    assert "Exception ignored" not in shown
    assert program.process.returncode in (-signal.SIGINT, 130)
    workloads.wait_until(lambda: not program.left(), GONE_S)


@pytest.mark.parametrize("delay_ms", and_heavy([0, 15, 40], [5, 10, 20, 30, 60, 90]))
def test_an_interrupt_while_workers_start(
    delay_ms: int, programs: list[Program], tmp_path: Path
) -> None:
    """Whatever has been started by then is gone, and there is one traceback."""
    code = "began()\nrun_parallel(spin, range(100), backend='processes', max_workers=4)"
    program = Program(code, tmp_path / "calls")
    programs.append(program)
    program.until_called()
    time.sleep(delay_ms / 1000)  # the moment itself is what is tested

    program.signal(signal.SIGINT)
    shown = program.end(STOPPED_S)

    assert shown.count("Traceback (most recent call last)") == 1, shown
    # From 3.14 on, pickle adds a note that says where it was.
    assert "\nKeyboardInterrupt\n" in shown + "\n", shown
    workloads.wait_until(lambda: not program.left(), GONE_S)


@pytest.mark.parametrize("backend", ["serial", "threads", "processes"])
def test_going_on_after_an_interrupt(
    backend: str, programs: list[Program], tmp_path: Path
) -> None:
    """A program that catches it can go on with the same pool."""
    code = (
        "try:\n"
        f"    run_parallel(wait, range(4), backend={backend!r}, max_workers=2)\n"
        "except KeyboardInterrupt:\n"
        f"    assert run_parallel(abs, [-1, 2], backend={backend!r}) == [1, 2]\n"
        "    print('went on', file=sys.stderr)\n"
    )
    program = Program(code, tmp_path / "calls")
    programs.append(program)
    program.until_called()

    program.signal(signal.SIGINT)

    assert program.end(STOPPED_S).split("\n") == ["went on", ""]
    assert program.process.returncode == 0
    workloads.wait_until(lambda: not program.left(), GONE_S)


def test_going_on_beside_a_blocked_event_loop(
    programs: list[Program], tmp_path: Path
) -> None:
    """What blocks it cannot be stopped: it holds up neither later runs nor the end."""
    code = (
        "try:\n"
        "    run_parallel(blocks, range(4))\n"
        "except KeyboardInterrupt:\n"
        "    assert run_parallel(goes_on, [1, 2]) == [1, 2]\n"
        "    print('went on', file=sys.stderr)\n"
    )
    program = Program(code, tmp_path / "calls")
    programs.append(program)
    program.until_called()

    program.signal(signal.SIGINT)

    assert program.end(STOPPED_S).split("\n") == ["went on", ""]
    assert program.process.returncode == 0


OFTEN = """\
import random, threading

def interrupts(x):
    if x == 0:
        end = time.perf_counter() + random.random() / 1000
        while time.perf_counter() < end:
            pass
        os.kill(os.getpid(), signal.SIGINT)
    over.wait(STOPPED_S)

slow = 0
for _ in range(150):
    over, since = threading.Event(), time.perf_counter()
    try:
        run_parallel(interrupts, range(4), backend="threads", max_workers=3)
    except KeyboardInterrupt:
        pass
    over.set()
    slow += time.perf_counter() - since > 1
print(slow, "were noticed late", file=sys.stderr)
"""


def test_an_interrupt_just_before_a_wait(
    programs: list[Program], tmp_path: Path
) -> None:
    """A signal that comes between Python's look for signals and a wait is not lost."""
    program = Program(OFTEN.replace("STOPPED_S", "4"), tmp_path / "calls")
    programs.append(program)

    assert program.end(60) == "0 were noticed late\n"


TINY = """\
import random
options = {}

def threads():
    return len(os.listdir("/proc/self/task"))

def same(x):
    return x

signal.signal(signal.SIGALRM, signal.default_int_handler)
before, moments, came = threads(), random.Random(int(sys.argv[2])), 0
for _ in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.0005, 0.002))
        for _ in range(1000):
            run_parallel(same, range(3), **options)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        came += 1
end = time.monotonic() + 10
while threads() > before and time.monotonic() < end:
    time.sleep(0.01)
print(came, "came,", threads() - before, "threads are left", file=sys.stderr)
"""


@pytest.mark.parametrize("seed", and_heavy([1], range(2, 6)))
def test_interrupts_at_any_moment_of_a_tiny_run(
    programs: list[Program], tmp_path: Path, seed: int
) -> None:
    """The thread that measures ends, and no lock stays held, wherever one comes."""
    program = Program(TINY, tmp_path / "calls", str(seed))
    programs.append(program)

    shown = program.end(60)

    # One may come inside a callback of the interpreter's, which says so and goes on.
    came, _, left = shown.splitlines()[-1].partition(" came, ")
    assert left == "0 threads are left", shown
    assert int(came) >= 250, shown


@pytest.mark.parametrize("seed", and_heavy([1], range(2, 4)))
def test_interrupts_at_any_moment_of_a_run_on_threads(
    programs: list[Program], tmp_path: Path, seed: int
) -> None:
    """The engine's thread and the workers are started, and told, whole or not at all."""
    on_threads = TINY.replace("options = {}", "options = {'backend': 'threads'}")
    closed = "from smartpool.testing import close_default_pool\nclose_default_pool()\n"
    end = on_threads.index("end = ")
    program = Program(
        on_threads[:end] + closed + on_threads[end:], tmp_path / "calls", str(seed)
    )
    programs.append(program)

    shown = program.end(60)

    came, _, left = shown.splitlines()[-1].partition(" came, ")
    assert left == "0 threads are left", shown
    assert int(came) >= 200, shown


STORM = """\
import random, threading
from smartpool import _aside
from smartpool._lock import Lock

def interrupt(number, frame):
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
# One that comes just before a wait without end begins is seen when the next one comes.
AGAIN_S = 0.5
came, errors, moments = 0, [], random.Random(1)

def storm(action, times, repeat):
    global came
    for _ in range(times):
        try:
            moment = moments.uniform(0.0001, 0.001)
            signal.setitimer(signal.ITIMER_REAL, moment, AGAIN_S)
            for _ in range(repeat):
                action()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            came += 1
        except Exception as exc:
            errors.append(exc)
    signal.setitimer(signal.ITIMER_REAL, 0)
"""

LOCKED = """\
lock, held = Lock(), 0

def locked():
    with lock:
        pass

def free():
    taken = []
    def take():
        if lock.acquire(timeout=1):
            taken.append(lock.release())
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return bool(taken)

for _ in range(20):
    storm(locked, 100, 10**6)
    held += not free()
print(came, errors, held, file=sys.stderr)
"""


def test_interrupts_at_any_moment_of_a_locked_block(
    programs: list[Program], tmp_path: Path
) -> None:
    """A lock of ours is free again, whether one comes before the block or in it."""
    program = Program(STORM + LOCKED, tmp_path / "calls")
    programs.append(program)

    assert program.end(60) == "2000 [] 0\n"


AWAITED_LOCK = """\
lock, begun, end, done = Lock(), threading.Event(), threading.Event(), []

def holding():
    with lock:
        begun.set()
        end.wait()
        done.append(lock._is_owned())

holder = threading.Thread(target=holding)
holder.start()
begun.wait()

def locked():
    with lock:
        done.append("taken")

storm(locked, 200, 1)
end.set()
holder.join()
with lock:
    print(came, errors, done, file=sys.stderr)
"""


def test_interrupts_of_a_wait_for_a_lock(
    programs: list[Program], tmp_path: Path
) -> None:
    """They end the wait, and leave the lock with whoever has it."""
    program = Program(STORM + AWAITED_LOCK, tmp_path / "calls")
    programs.append(program)

    assert program.end(60) == "200 [] [True]\n"


STARTED = """\
ran = []

def start():
    _aside.start(threading.Thread(target=ran.append, args=[1], daemon=True))

storm(start, 1000, 500)
until = time.monotonic() + 10
while threading.active_count() > 1 and time.monotonic() < until:
    time.sleep(0.01)
left = threading.active_count() - 1
print(came > 900, errors, left, len(ran) > 1000, file=sys.stderr)
"""


def test_interrupts_at_any_moment_of_a_threads_start(
    programs: list[Program], tmp_path: Path
) -> None:
    """Each thread runs to its end or never begins, and no other error comes of it."""
    program = Program(STORM + STARTED, tmp_path / "calls")
    programs.append(program)

    # One may come inside a callback of the interpreter's, which says so and goes on.
    assert program.end(60).splitlines()[-1] == "True [] 0 True"


INTERRUPTED_STOP = """\
from smartpool._observe import meter

class Interrupted(meter.Meter):
    times = 0
    def _read(self, cpu_s):
        if not Interrupted.times and meter._thread.get_ident() == self._ident:
            Interrupted.times += 1
            raise KeyboardInterrupt
        return super()._read(cpu_s)

from smartpool._drive import probing
probing.Meter = Interrupted

def long(x):
    time.sleep(0.3)
    return x

try:
    run_parallel(long, range(10))
except KeyboardInterrupt:
    print(Interrupted.times, run_parallel(long, range(2)), file=sys.stderr)
"""


def test_an_interrupt_at_the_end_of_a_measurement(
    programs: list[Program], tmp_path: Path
) -> None:
    """The thread that has taken the run over meanwhile gives it back."""
    program = Program(INTERRUPTED_STOP, tmp_path / "calls")
    programs.append(program)

    assert program.end(20) == "1 [0, 1]\n"


INTERRUPTED_START = """\
import threading
from smartpool._run import reactor

class Thread(threading.Thread):
    times = 0
    def start(self):
        Thread.times += 1
        if Thread.times == 1:
            raise KeyboardInterrupt
        super().start()

reactor.threading.Thread = Thread
pool = SmartPool(max_workers=2, backend="threads")
try:
    pool.run_parallel(abs, [1, 2])
except KeyboardInterrupt:
    pass
print(pool.run_parallel(abs, [-1, 2]), file=sys.stderr)
pool.close()
"""


def test_an_interrupt_while_the_engine_starts(
    programs: list[Program], tmp_path: Path
) -> None:
    """A thread that was not started is not waited for: the pool can be used again."""
    program = Program(INTERRUPTED_START, tmp_path / "calls")
    programs.append(program)

    assert program.end(STOPPED_S) == "[1, 2]\n"


@pytest.mark.parametrize(
    "place", [name for name in PLACES if "processes" in PLACES[name]]
)
def test_kill_leaves_nothing(
    place: str, programs: list[Program], tmp_path: Path
) -> None:
    """After `kill -9` of the program its workers are gone, and theirs."""
    program = Program(PLACES[place], tmp_path / "calls")
    programs.append(program)
    program.until_called()

    program.signal(signal.SIGKILL)
    program.process.wait(STOPPED_S)

    workloads.wait_until(lambda: not program.left(), GONE_S)


def test_sigterm_leaves_nothing(programs: list[Program], tmp_path: Path) -> None:
    """A program that is asked to end takes its workers along."""
    program = Program(PLACES["processes that compute"], tmp_path / "calls")
    programs.append(program)
    program.until_called(2)

    program.signal(signal.SIGTERM)
    program.process.wait(STOPPED_S)

    workloads.wait_until(lambda: not program.left(), GONE_S)
