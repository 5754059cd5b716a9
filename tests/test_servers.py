"""Real servers: smartpool inside of a WSGI server and of a Celery worker.

What they need is the extra `servers`, and a Redis server on the PATH.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import smartpool
from smartpool import machine
from tests import workloads
from tests.leaks import _is_marked, processes

ROOT = Path(smartpool.__file__).parent.parent
SERVERS = ROOT / "docs" / "examples" / "servers"
HANG_S = 60.0

pytestmark = pytest.mark.heavy


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def marked(mark: str) -> list[int]:
    """Return the processes that were started with that mark in their environment."""
    return [one.pid for one in processes() if _is_marked(one.pid, mark)]


@contextmanager
def running(
    *command: str, log: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program meanwhile; end it, and all that it has started, at the end."""
    mark = f"server-{os.getpid()}-{log.name}"
    path = f"{ROOT}{os.pathsep}{SERVERS}"
    env = {**os.environ, "PYTHONPATH": path, **environment}
    env["SMARTPOOL_TEST_MARK"] = env.get("SMARTPOOL_TEST_MARK", "") + mark
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=SERVERS, env=env, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(HANG_S)
        # It ends, and so does all that it has started.
        workloads.wait_until(lambda: not marked(mark))
    except BaseException:
        print(log.read_text("utf-8", "replace"), file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(HANG_S)


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}{path}", timeout=HANG_S
    ) as page:
        return json.load(page)


@contextmanager
def gunicorn(
    tmp_path: Path, *options: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    command = (sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}")
    with running(
        *command, *options, "s16_flask:app", log=tmp_path / "gunicorn.log"
    ) as server:
        workloads.wait_until(lambda: answers(port))
        yield port, server


def test_a_flask_view_computes_in_other_processes(tmp_path: Path) -> None:
    """Requests use all CPUs from one server process; what waits stays on its threads."""
    with gunicorn(tmp_path, "--workers", "1", "--threads", "8") as (port, _):
        first = get(port, "/primes/20000")
        assert first["primes"] == 2262
        with ThreadPoolExecutor(8) as clients:
            pages = list(clients.map(lambda _: get(port, "/primes/20000"), range(16)))
            waits = list(clients.map(lambda _: get(port, "/wait"), range(16)))
        reasons = get(port, "/why")["why"]

    assert {page["primes"] for page in pages} == {2262}
    assert all(page["process"] == page["server"] for page in waits)
    assert reasons
    if machine().gil:
        elsewhere = {page["process"] for page in pages} - {first["server"]}
        assert len(elsewhere) >= min(2, machine().cpus)


def test_a_preloading_server(tmp_path: Path) -> None:
    """Its workers are forks of a process that has used smartpool: each starts afresh.

    A reload replaces them, and nothing of the old ones stays.
    """
    (tmp_path / "preloaded.py").write_text(
        "from smartpool import run_parallel\n"
        "assert run_parallel(abs, [-1, -2], backend='processes') == [1, 2]\n"
        "from s16_flask import app\n"
        "@app.get('/run')\n"
        "def run(): return run_parallel(abs, [-3, -4], backend='processes')\n",
        "utf-8",
    )
    port = free_port()
    with running(
        *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "2"),
        *("--bind", f"127.0.0.1:{port}", "--pythonpath", str(tmp_path)),
        "preloaded:app",
        log=tmp_path / "preload.log",
    ) as server:
        workloads.wait_until(lambda: answers(port))
        assert [get(port, "/run") for _ in range(6)] == [[3, 4]] * 6
        server.send_signal(signal.SIGHUP)
        for _ in range(6):
            assert get(port, "/run") == [3, 4]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """Start a Redis server of our own."""
    port = free_port()
    with running(
        *("redis-server", "--port", str(port), "--bind", "127.0.0.1"),
        *("--save", "", "--dir", str(tmp_path)),
        log=tmp_path / "redis.log",
    ):
        workloads.wait_until(lambda: answers(port))
        yield f"redis://127.0.0.1:{port}/0"


def test_a_celery_task_runs_in_parallel(
    tmp_path: Path, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside of a daemonic prefork worker, on worker processes of ours."""
    code = (
        "import json, sys\n"
        "from s07_celery import count_all\n"
        "result = count_all.delay([20_000] * 40).get(timeout=60)\n"
        "print(json.dumps(result))\n"
    )
    with running(
        *(sys.executable, "-m", "celery", "--app", "s07_celery", "worker"),
        *("--pool", "prefork", "--concurrency", "1", "--loglevel", "info"),
        log=tmp_path / "celery.log",
        BROKER=redis,
        C_FORCE_ROOT="1",
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "BROKER": redis,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{SERVERS}",
            },
            capture_output=True,
            text=True,
            timeout=2 * HANG_S,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)

    assert result["primes"] == [2262] * 40
    assert result["daemonic"]
    if machine().gil and machine().cpus > 1:
        assert set(result["processes"]) - {result["here"]}, result["report"]
