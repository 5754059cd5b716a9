"""Workloads that wait: for a clock, a server, a database, a program, a disk."""

from __future__ import annotations

import http.client
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from ..workload import Case, Workload

PLACE: Final = "REGRET_PLACE"
"""Environment variable by which a function finds its server, or its files."""


def nap(number: int) -> int:
    """Wait for 20 ms."""
    time.sleep(0.02)
    return number


def _naps() -> Case:
    return Case(nap, range(600), range(600))


# -- a real HTTP server, in another process -------------------------------------------------

_own = threading.local()


def get(number: int) -> int:
    """Fetch a page, by a connection of this thread's own."""
    connection = getattr(_own, "connection", None)
    if connection is None:
        port = int(os.environ[PLACE])
        connection = _own.connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/{number}")
    return int(connection.getresponse().read())


def _pages() -> Case:
    return Case(get, range(1000), range(1000))


@contextmanager
def _server(degrades_from: int) -> Iterator[None]:
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.regret.server", str(degrades_from)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        os.environ[PLACE] = server.stdout.readline().strip()
        yield
    finally:
        server.kill()
        server.communicate()


# -- files --------------------------------------------------------------------------------


@contextmanager
def _folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[PLACE] = folder
        yield


def look_up(key: int) -> int:
    """Ask a database, by a connection of this thread's own."""
    connection = getattr(_own, "database", None)
    if connection is None:
        path = Path(os.environ[PLACE], "numbers.db")
        connection = _own.database = sqlite3.connect(path)
    (found,) = connection.execute(
        "SELECT sum(value) FROM numbers WHERE value % 97 = ?", (key % 97,)
    ).fetchone()
    return int(found)


def _queries() -> Case:
    with sqlite3.connect(Path(os.environ[PLACE], "numbers.db")) as connection:
        connection.execute("CREATE TABLE numbers (value INTEGER)")
        rows = ((n,) for n in range(40_000))
        connection.executemany("INSERT INTO numbers VALUES (?)", rows)
    connection.close()
    sums = [sum(range(key, 40_000, 97)) for key in range(97)]
    return Case(look_up, range(300), [sums[key % 97] for key in range(300)])


def run_a_program(number: int) -> int:
    """Run a program that ends at once."""
    return subprocess.run(["/bin/true"], check=False).returncode + number


def _programs() -> Case:
    return Case(run_a_program, range(200), range(200))


def read(path: str) -> int:
    """Read a small file."""
    with open(path, "rb") as file:
        return len(file.read())


def _files() -> Case:
    paths = [Path(os.environ[PLACE], f"{n}.txt") for n in range(400)]
    for n, path in enumerate(paths):
        path.write_bytes(bytes(2000 + n))
    return Case(read, [str(path) for path in paths], [2000 + n for n in range(400)])


def _serves(degrades_from: int) -> Callable[[], AbstractContextManager[None]]:
    return partial(_server, degrades_from)


WORKLOADS: Final = [
    Workload("sleep", "600 x 20 ms", _naps, group="waits"),
    Workload("http", "1000 GETs of 20 ms", _pages, _serves(0), group="waits"),
    Workload(
        "http, degrades",
        "the same, of a server that degrades beyond 64",
        _pages,
        _serves(64),
        group="waits",
    ),
    Workload("sqlite", "300 queries", _queries, _folder, group="waits"),
    Workload("programs", "200 x /bin/true", _programs, group="waits"),
    Workload("files", "400 small files", _files, _folder, group="waits"),
]
