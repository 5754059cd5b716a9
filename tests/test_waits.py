"""End to end: how many calls wait at once follows what they meet."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smartpool import SmartPool, learned, stream_parallel
from smartpool._observe.learned import forget_all

SCRIPT_S = 60.0
ROOT = Path(__file__).parent.parent

FEW_DESCRIPTORS = """
import resource, socket, time
from smartpool import run_parallel

resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

def opens_eight(x):
    sockets = []
    try:
        for _ in range(8):
            sockets.append(socket.socket())
        return x
    finally:
        time.sleep(0.02)  # also if none was left: the others are not used up meanwhile
        for one in sockets:
            one.close()

results = run_parallel(opens_eight, range(600), hint="io", return_exceptions=True)
refused = [x for x, result in enumerate(results) if isinstance(result, OSError)]
assert [results[x] for x in range(600) if x not in refused] == [
    x for x in range(600) if x not in refused
]
(text,) = [one.text for one in results.report.reasons if one.rule == "descriptors"]
print(len(refused), max(refused), text)
"""


def test_calls_that_find_no_descriptor_left() -> None:
    """Fewer go on at once from then on, so that the others find some; it is said."""
    done = subprocess.run(
        [sys.executable, "-c", FEW_DESCRIPTORS],
        capture_output=True,
        text=True,
        timeout=SCRIPT_S,
        cwd=ROOT,
    )

    assert done.returncode == 0, done.stderr
    refused, last, text = done.stdout.split(maxsplit=2)
    assert 0 < int(refused) < 400, done.stdout
    assert int(last) < 550, done.stdout
    assert f"{refused} calls found no descriptor left" in text


@pytest.fixture
def degrading() -> Iterator[int]:
    """A server that degrades beyond 64 requests at once, and its port."""
    command = [sys.executable, "-m", "benchmarks.regret.server", "64"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.communicate()


@pytest.mark.measures
def test_a_server_that_degrades(degrading: int) -> None:
    """Two runs of requests settle near what it can take."""
    own, opened = threading.local(), list[http.client.HTTPConnection]()
    forget_all()

    def get(number: int) -> int:
        connection = getattr(own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", degrading)
            own.connection = connection
            opened.append(connection)
        connection.request("GET", f"/{number}")
        return int(connection.getresponse().read())

    with SmartPool() as pool:
        for _ in range(2):
            assert pool.run_parallel(get, range(1500)) == list(range(1500))

    for connection in opened:
        connection.close()
    known = learned(get)
    assert known is not None
    assert known.backend == "threads"
    assert known.profile.at_once is not None
    assert 20 <= known.profile.at_once <= 130, known


def test_a_stream_of_calls_that_wait_keeps_its_window() -> None:
    """However many may go on at once, not much more input is read than that."""
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    with stream_parallel(threading.Event().wait, (0.001 for _ in items())) as stream:
        for _ in range(50):
            next(stream)
        assert pulled < 20_000
