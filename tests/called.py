"""What workers call in tests, and bad objects. Imports nothing heavy."""

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

POLL_S = 0.002
DEADLINE_S = 20.0


def same(x: Any) -> Any:
    return x


def pid(_: Any = None) -> int:
    return os.getpid()


def fail(x: Any) -> Any:
    raise ValueError(x)


def reraise(exc: BaseException) -> None:
    raise exc


def fail_with_note(x: Any) -> Any:
    error = KeyError(x)
    error.add_note("a note")
    raise error


def leave(code: Any) -> Any:
    raise SystemExit(code)


def interrupt(_: Any) -> Any:
    raise KeyboardInterrupt


def sigkill(_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(_: Any) -> Any:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # no stacks on the terminal
    os.kill(os.getpid(), signal.SIGSEGV)
    wait_until(lambda: False)


def exit_at_once(_: Any) -> Any:
    os._exit(7)


def abort(_: Any) -> Any:
    signal.signal(signal.SIGABRT, signal.SIG_DFL)  # no stacks on the terminal
    os.abort()


def overflow_stack_in_c(_: Any) -> Any:
    """Recurse in C until the stack ends: glibc reads parentheses so."""
    import ctypes

    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    compiled = ctypes.create_string_buffer(4096)
    ctypes.CDLL(None).regcomp(compiled, b"(" * 1_000_000, 1)


def at(where: int, what: Callable[[Any], Any]) -> Callable[[int], Any]:
    """Return a function that calls `what` for the item `where`, else nothing."""

    def call(x: int) -> Any:
        return what(x) if x == where else x

    return call


def count(path: str, x: Any) -> Any:
    """Leave a mark for each call."""
    with Path(path).open("a") as file:
        file.write(f"{x}\n")
    return x


def unpicklable_result(_: Any) -> Any:
    return sys._getframe()


def big(size: int) -> bytes:
    return bytes(size)


def touch_and_wait(path: str) -> None:
    """Say that the call has begun, and do not end by oneself."""
    Path(path).touch()
    wait_until(lambda: False)


def until_exists(path: str) -> bool:
    wait_until(Path(path).exists)
    return True


def wait_until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(condition)
        time.sleep(POLL_S)


def surroundings(_: Any = None) -> dict[str, Any]:
    return {
        "argv": sys.argv,
        "path": sys.path,
        "cwd": os.getcwd(),
        "optimize": sys.flags.optimize,
        "xoptions": dict(sys._xoptions),
        "warnoptions": list(sys.warnoptions),
        "modules": set(sys.modules),
        "stdin": os.readlink("/proc/self/fd/0"),
        "fds": {fd: os.path.realpath(f"/proc/self/fd/{fd}") for fd in inheritable()},
        "group": os.getpgrp() == os.getpid(),
        "omp": os.environ.get("OMP_NUM_THREADS"),
        "sigint": signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,
    }


def inheritable(_: Any = None) -> list[int]:
    """Return the descriptors above 2 that subprocesses would get."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue
    return found


def nesting(_: Any = None) -> tuple[int, int | None]:
    from smartpool._worker import nesting as where

    return where.depth, where.cpus


def fork_and_die(path: str) -> None:
    """Leave a grandchild behind that holds all that a fork inherits, and die."""
    child = os.fork()
    if child == 0:
        touch_and_wait(path)
        os._exit(0)
    until_exists(path)
    os._exit(3)


def missing_after_two_forks(_: Any = None) -> list[int]:
    """Return which descriptors of a child's own a child of that child does not have."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        mine = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
        grandchild = os.fork()
        if grandchild == 0:
            os.write(write, bytes(fd for fd in mine if not is_open(fd)) or b"\0")
            os._exit(0)
        os.waitpid(grandchild, 0)
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    said = os.read(read, 100)
    os.close(read)
    assert said, "they died"
    return [fd for fd in said if fd]


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def wait_a_moment(x: int) -> int:
    import asyncio

    await asyncio.sleep(0)
    return x + 1


def say_pid(path: str) -> None:
    """Write this process's id into a file that is there once it is whole."""
    Path(f"{path}.aside").write_text(str(os.getpid()))
    Path(f"{path}.aside").rename(path)


def is_gone(pid: int) -> bool:
    """Return whether no process has that id, but for one that waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].startswith(b"Z")
    except OSError:
        return True


def spin_in_c(path: str) -> int:
    """Hold the GIL in C code for a minute or so."""
    Path(path).write_text(str(os.getpid()))
    return len(str(3 ** (3 * 10**8)))


class OddInit(Exception):
    """Cannot be made of its `args`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def fail_oddly(x: int) -> Any:
    raise OddInit(x, "odd")


class Unpicklable(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.frame = sys._getframe()


def fail_unpicklably(x: int) -> Any:
    raise Unpicklable(f"item {x}")


class Adder:
    """A callable with state."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, x: int) -> int:
        self.n += 1
        return self.n + x

    def add(self, x: int) -> int:
        return self(x)


class Marked:
    """Leaves a file behind when it goes, in the process that it was sent to."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.home = os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.home:
            Path(self.path).touch()


def ignore(*_: Any) -> None:
    return


def start_sleep(_: Any) -> int:
    import subprocess

    process = subprocess.Popen(["sleep", "60"])
    process.returncode = 0  # nobody waits for it
    return process.pid


class Bad:
    """Does something when it is pickled or loaded."""

    def __init__(self, when: str, what: Callable[[Any], Any]) -> None:
        self.when, self.what = when, what

    def __reduce__(self) -> Any:
        if self.when == "dumps":
            self.what(self)
        return made, (self.what,)


def made(what: Callable[[Any], Any]) -> Any:
    return what(0)


def bad_result(what: Callable[[Any], Any]) -> Any:
    return Bad("dumps", what)


def warn(x: Any) -> Any:
    warnings.warn("from a worker", stacklevel=2)
    return x
