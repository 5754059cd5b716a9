"""Unit: what is found of the machine and of this interpreter."""

import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._observe import machine as module
from smartpool._observe.budget import budget, current_budget, set_budget
from smartpool._observe.cgroups import Group, Groups, Quota
from smartpool._observe.cpus import Asked, Limits, asked_cpus, usable_cpus
from smartpool._observe.interpreter import Running, interpreter
from smartpool._observe.machine import (
    machine,
    max_open_files,
    memory_bytes,
    no_processes,
)
from smartpool._worker import nesting

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def read_afresh() -> Iterator[None]:
    """Let nothing that is known outlive a test."""

    def forget() -> None:
        module._Recent.groups = module._Recent.host = module._Recent.machine = None

    forget()
    yield
    forget()


@pytest.mark.parametrize(
    ("limits", "cpus", "why"),
    [
        (Limits(8, 8), 8, "8 CPUs in this machine"),
        (Limits(1, 1), 1, "1 CPU in this machine"),
        (Limits(8, 2), 2, "2 of 8 CPUs by affinity"),
        (Limits(8, 8, Asked(3, "X=3")), 3, "X=3"),
        (Limits(2, 1, Asked(4, "X=4")), 4, "X=4"),
        (Limits(8, 8, quota=Quota(1.5, "/a")), 2, "cgroup quota of 1.5 CPUs in /a"),
        (Limits(2, 2, quota=Quota(1.5, "/a")), 2, "cgroup quota of 1.5 CPUs in /a"),
        (Limits(8, 8, quota=Quota(1.0, "/a")), 1, "cgroup quota of 1 CPU in /a"),
        (Limits(8, 8, quota=Quota(0.01, "/")), 1, "cgroup quota of 0.01 CPUs in /"),
        (Limits(2, 2, quota=Quota(2.0, "/a")), 2, "2 CPUs in this machine"),
        (
            Limits(8, 8, Asked(6, "X=6"), Quota(4.0, "/a")),
            4,
            "cgroup quota of 4 CPUs in /a",
        ),
        (Limits(2, 2, given=1), 1, "1 of 2 CPUs: inside a worker"),
        (Limits(2, 2, given=2), 2, "2 CPUs in this machine"),
        (Limits(2, 2, given=0), 1, "1 of 2 CPUs: inside a worker"),
        (Limits(4, 4, budget=2), 2, "2 of 4 CPUs: called from within a smartpool run"),
        (
            Limits(8, 8, given=4, budget=2),
            2,
            "2 of 4 CPUs: called from within a smartpool run",
        ),
        (Limits(8, 8, given=2, budget=4), 2, "2 of 8 CPUs: inside a worker"),
    ],
    ids=str,
)
def test_which_limit_holds(limits: Limits, cpus: int, why: str) -> None:
    """The tightest limit gives the number and the words."""
    assert usable_cpus(limits) == (cpus, why)


@given(
    st.integers(1, 512),
    st.integers(1, 512),
    st.none() | st.integers(1, 512).map(lambda n: Asked(n, f"X={n}")),
    st.none() | st.floats(0.001, 1e4).map(lambda n: Quota(n, "/")),
    st.none() | st.integers(-1, 512),
    st.none() | st.integers(-1, 512),
)
def test_there_is_always_a_cpu(
    present: int,
    affinity: int,
    asked: Asked | None,
    quota: Quota | None,
    given_cpus: int | None,
    called_with: int | None,
) -> None:
    """Whatever the limits: at least one CPU, no limit exceeded, and a reason."""
    limits = Limits(present, affinity, asked, quota, given_cpus, called_with)
    cpus, why = usable_cpus(limits)
    assert why
    assert 1 <= cpus <= (asked.cpus if asked else affinity)
    assert quota is None or cpus < quota.cpus + 1
    for share in (given_cpus, called_with):
        assert share is None or cpus <= max(1, share)


@pytest.mark.parametrize(
    ("environ", "xoptions", "expected"),
    [
        ({}, {}, None),
        ({"PYTHON_CPU_COUNT": "3"}, {}, Asked(3, "PYTHON_CPU_COUNT=3")),
        ({"PYTHON_CPU_COUNT": "3"}, {"cpu_count": "2"}, Asked(2, "-X cpu_count=2")),
        ({"PYTHON_CPU_COUNT": "3"}, {"cpu_count": "default"}, None),
        ({"PYTHON_CPU_COUNT": "default"}, {}, None),
        ({"PYTHON_CPU_COUNT": ""}, {}, None),
        ({"PYTHON_CPU_COUNT": "0"}, {}, None),
        ({"PYTHON_CPU_COUNT": "-1"}, {}, None),
        ({"PYTHON_CPU_COUNT": "many"}, {}, None),
        ({"PYTHON_CPU_COUNT": "9" * 5000}, {}, None),
        ({}, {"cpu_count": True}, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_the_user_asked_for(
    environ: dict[str, str], xoptions: dict[str, str | bool], expected: Asked | None
) -> None:
    """The option wins over the variable, and garbage asks for nothing."""
    assert asked_cpus(environ, xoptions) == expected


@pytest.mark.parametrize(
    ("flags", "variable", "expected"),
    [
        ((), "7", "Asked(cpus=7, how='PYTHON_CPU_COUNT=7')"),
        (("-X", "cpu_count=5"), "7", "Asked(cpus=5, how='-X cpu_count=5')"),
        (("-E",), "7", "None"),
    ],
    ids=["variable", "option", "ignored"],
)
def test_asking_on_every_version(
    flags: tuple[str, ...], variable: str, expected: str
) -> None:
    """`PYTHON_CPU_COUNT` counts before Python 3.13 too, unless `-E` forbids."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from smartpool._observe.cpus import *; print(asked_cpus())"
    )
    child = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON_CPU_COUNT": variable},
        timeout=60,
        check=True,
    )
    assert child.stdout.strip() == expected


def test_this_machine() -> None:
    """What is found here makes sense."""
    found = machine()
    assert found.cpus >= 1
    assert found.cpus_why
    assert found.gil_why
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.processes is not bool(found.processes_why)
    assert found.depth == nesting.depth
    assert found.memory_bytes is None or found.memory_bytes > 1 << 20


def test_the_record_is_made_once() -> None:
    """While nothing changes, the same record comes back."""
    assert machine() is machine()


def test_limits_are_read_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """What people change is seen a second later, and not looked for before."""
    now = [100.0]
    quotas = [None, Quota(0.5, "/now")]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "affinity", lambda: 4)
    monkeypatch.setattr(module, "asked_cpus", lambda: None)
    monkeypatch.setattr(module, "cpu_quota", lambda _: quotas.pop(0))
    assert machine().cpus == 4
    now[0] += 0.9
    assert machine().cpus == 4
    now[0] += 0.2
    assert machine().cpus == 1
    assert machine().cpus_why == "cgroup quota of 0.5 CPUs in /now"


def test_the_gil_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GIL may come back between two runs."""
    monkeypatch.setattr(module, "gil_enabled", lambda: False)
    assert not machine().gil
    monkeypatch.setattr(module, "gil_enabled", lambda: True)
    assert machine().gil


def test_inside_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has the CPUs that it was given, and knows how deep it is."""
    monkeypatch.setattr(module, "affinity", lambda: 4)
    machine()
    monkeypatch.setattr(nesting, "depth", 2)
    monkeypatch.setattr(nesting, "cpus", 1)
    found = machine()
    assert found.cpus == 1
    assert found.cpus_why.endswith("inside a worker")
    assert found.depth == 2


def test_within_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call has its budget, and the machine is whole again afterwards."""
    monkeypatch.setattr(module, "affinity", lambda: 4)
    monkeypatch.setattr(module, "cpu_quota", lambda _: None)
    monkeypatch.setattr(module, "asked_cpus", lambda: None)
    with budget(2):
        assert machine().cpus == 2
        assert machine().cpus_why == "2 of 4 CPUs: called from within a smartpool run"
    assert machine().cpus == 4


def test_budgets_nest() -> None:
    """An inner budget never exceeds the outer one, and is at least 1."""
    assert current_budget() is None
    with budget(2):
        with budget(4):
            assert current_budget() == 2
        with budget(0):
            assert current_budget() == 1
        assert current_budget() == 2
    assert current_budget() is None


def test_a_budget_is_taken_back_after_an_error() -> None:
    """An item that raises leaves nothing behind."""
    with pytest.raises(KeyError), budget(1):
        raise KeyError
    assert current_budget() is None


def test_a_budget_is_of_its_thread() -> None:
    """Another thread, with a context of its own, has the whole machine."""
    seen: list[int | None] = []
    fresh = contextvars.Context()
    with budget(1):
        thread = threading.Thread(
            target=fresh.run, args=(lambda: seen.append(current_budget()),)
        )
        thread.start()
        thread.join(30)
    assert seen == [None]


def test_a_budget_set_once_for_a_run() -> None:
    """Every copy of a context has the budget that was set in it."""
    context = contextvars.copy_context()
    set_budget(context, 3)
    assert context.run(current_budget) == 3
    assert context.copy().run(current_budget) == 3
    set_budget(context, 9)
    assert context.run(current_budget) == 3
    assert current_budget() is None


def test_memory(tmp_path: Path) -> None:
    """A group's limit counts if it is below what the machine has."""
    (tmp_path / "memory.max").write_text("1048576\n")
    group = Group(2, "/", str(tmp_path))
    assert memory_bytes(Groups("", (), (group,))) == 1 << 20
    everything = memory_bytes(Groups("", (), ()))
    (tmp_path / "memory.max").write_text(f"{1 << 61}\n")
    if everything is not None:
        assert memory_bytes(Groups("", (), (group,))) == everything


def test_open_files() -> None:
    """The soft limit is what counts, and unlimited is `None`."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert max_open_files() == 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("python", "platform", "family", "why"),
    [
        ("/bin/python", "linux", "posix", ""),
        ("/bin/python", "darwin", "posix", ""),
        (None, "linux", "posix", "no Python interpreter was found"),
        ("/bin/python", "emscripten", "posix", "emscripten starts no processes"),
        ("/bin/python", "wasi", "posix", "wasi starts no processes"),
        ("/bin/python", "win32", "nt", "Unix socket pairs"),
    ],
    ids=["linux", "macos", "no-python", "emscripten", "wasi", "windows"],
)
def test_where_processes_cannot_be_started(
    python: str | None, platform: str, family: str, why: str
) -> None:
    """Each obstacle is named; "" means that there is none."""
    found = no_processes(python, platform=platform, family=family)
    assert why in found
    assert bool(found) is bool(why)


def executable(path: Path) -> str:
    """Make an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="ascii")
    path.chmod(0o755)
    return str(path)


def test_the_running_interpreter_is_found() -> None:
    """A plain interpreter is its own answer."""
    assert interpreter() == sys.executable


@pytest.mark.parametrize(
    "name",
    [
        *("python", "python3", "python3.13", "python3.13t", "pypy3.10", "Python"),
        *("python3.11-dbg", "python3.14d", "python.exe"),
    ],
)
def test_names_of_interpreters(tmp_path: Path, name: str) -> None:
    """Whatever builds and packagers call Python is taken for it."""
    path = executable(tmp_path / name)
    assert interpreter(Running(path, None, (), "", frozen=False)) == path


@pytest.mark.parametrize(
    "name", ["uwsgi", "app", "python-app", "pythonista", "ipython3"]
)
def test_names_of_other_programs(tmp_path: Path, name: str) -> None:
    """What is not called Python is never started as one."""
    path = executable(tmp_path / name)
    assert interpreter(Running(path, path, (), "", frozen=False)) is None


def test_an_embedding_program(tmp_path: Path) -> None:
    """Where a web server embeds Python, the one of that installation is used."""
    server = executable(tmp_path / "sbin" / "uwsgi")
    executable(tmp_path / "bin" / "python3")  # of another version, perhaps
    running = Running(server, server, (str(tmp_path),), "python3.13", frozen=False)
    assert interpreter(running) is None
    expected = executable(tmp_path / "bin" / "python3.13")
    assert interpreter(running) == expected
    base = executable(tmp_path / "base" / "python3.13")
    running = Running(server, base, (str(tmp_path),), "python3.13", frozen=False)
    assert interpreter(running) == base


def test_a_frozen_program(tmp_path: Path) -> None:
    """A frozen program is never started again, though it is called Python."""
    program = executable(tmp_path / "python")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3.13").symlink_to(program)
    running = Running(program, program, (str(tmp_path),), "python3.13", frozen=True)
    assert interpreter(running) is None


@pytest.mark.parametrize("missing", [None, "", "python3", "/nowhere/python3"])
def test_no_interpreter(missing: str | None) -> None:
    """Empty, relative and missing paths are none."""
    assert interpreter(Running(missing, None, (), "", frozen=False)) is None


def test_a_file_that_cannot_be_executed(tmp_path: Path) -> None:
    """Folders and plain files are no interpreters."""
    (tmp_path / "python").mkdir()
    plain = tmp_path / "python3"
    plain.write_text("", encoding="ascii")
    plain.chmod(0o644)
    for path in (tmp_path / "python", plain):
        assert interpreter(Running(str(path), None, (), "", frozen=False)) is None
