"""A real HTTP server on loopback, in a process of its own, that takes its time.

::

    serving(paths, latency_s)  --stdin: paths-->    serve()
              port             <--stdout: port--
              ...              ----- HTTP ---->     /0, /1, ...: the files
              end or death     --stdin: EOF--->     exits

Guarantees: it ends with its `with` block; when its parent dies, by whatever; and
after `LIFE_S` seconds anyway. It serves the given files alone, to this machine alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Final

LATENCY_S: Final = 0.02
LIFE_S: Final = 120.0
END_S: Final = 2.0

BACKLOG: Final = 1024
"""Connections that may wait to be accepted; Linux takes 4096 at most."""

BOOTSTRAP: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from smartpool._demo.server import serve; serve()"
)


@contextmanager
def serving(
    paths: Sequence[str], latency_s: float = LATENCY_S
) -> Generator[list[str], None, None]:
    """Start a server for some files, give their addresses, and end it.

    Args:
        paths: The files to be served.
        latency_s: How long each answer is held back.

    Raises:
        RuntimeError: If the server does not start.
    """
    command = [sys.executable, "-P", "-c", BOOTSTRAP, json.dumps(sys.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            server.stdin.write(json.dumps([latency_s, *paths]).encode() + b"\n")
            server.stdin.flush()
            port = server.stdout.readline().decode().strip()
            if not port:
                raise RuntimeError("the server of the demo did not start")
            yield [f"http://127.0.0.1:{port}/{index}" for index in range(len(paths))]
        finally:
            server.stdin.close()
            _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Wait for the end that the end of its input brings, or bring it about."""
    try:
        server.wait(END_S)
    except subprocess.TimeoutExpired:
        server.kill()


# -- in the server's process ---------------------------------------------------------


def serve() -> None:
    """Be the server: read what to serve, tell the port, serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent hears it, and ends it
    stdin = sys.stdin.buffer
    latency_s, *paths = json.loads(stdin.readline())
    threading.Thread(target=_exit_with_parent, args=(stdin,), daemon=True).start()
    pages = {f"/{index}".encode(): _read(path) for index, path in enumerate(paths)}
    asyncio.run(_serve(pages, latency_s))


async def _serve(pages: dict[bytes, bytes], latency_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(pages, latency_s), "127.0.0.1", 0, backlog=BACKLOG
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - to the parent
    await asyncio.sleep(LIFE_S)


def _exit_with_parent(stdin: BinaryIO) -> None:
    stdin.read()
    os._exit(0)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


class Connection(asyncio.Protocol):
    """One request and its answer, which comes `latency_s` seconds later."""

    def __init__(self, pages: dict[bytes, bytes], latency_s: float) -> None:
        self._pages = pages
        self._latency_s = latency_s
        self._request = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a while after the request is complete."""
        self._request += data
        if self._request.endswith(b"\r\n\r\n"):
            asyncio.get_running_loop().call_later(self._latency_s, self._answer)

    def _answer(self) -> None:
        assert self._transport is not None
        path = self._request.split(b" ", 2)[1]
        page = self._pages.get(path)
        status = b"404 Not Found" if page is None else b"200 OK"
        body = page or b""
        head = b"HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)
        self._transport.close()
