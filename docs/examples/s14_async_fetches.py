"""Ask a server for many values: neither one by one, nor all at once.

With `asyncio.gather` and a semaphore somebody has to say how many requests may be on
their way. Here nobody does: there are more of them as long as that brings more answers
a second. The server is in another process, and holds each answer back for 20 ms; from
64 requests at once on it takes longer for each of them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from functools import partial

from smartpool import run_parallel

FETCHED = 2000
A_GUESS = 10

SERVER = """
import asyncio, json

async def main():
    asked = 0

    async def answer(reader, writer):
        nonlocal asked
        asked += 1
        number = int((await reader.readuntil(b"\\r\\n\\r\\n")).split()[1][1:])
        await asyncio.sleep(0.02 * max(1, asked / 64))
        asked -= 1
        body = json.dumps({"number": number, "square": number * number})
        writer.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + body.encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def fetch(port: int, number: int) -> int:
    """Return what the server knows of `number`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /{number} HTTP/1.0\r\n\r\n".encode())
    body = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    square: int = json.loads(body)["square"]
    return square


async def gathered(port: int) -> list[int]:
    """Fetch all of them, as many at once as was guessed."""
    semaphore = asyncio.Semaphore(A_GUESS)

    async def fetch_in_turn(number: int) -> int:
        async with semaphore:
            return await fetch(port, number)

    return await asyncio.gather(*map(fetch_in_turn, range(FETCHED)))


def main(port: int) -> None:
    """Fetch all of them in both ways."""
    began = time.perf_counter()
    expected = asyncio.run(gathered(port))
    guess_s = time.perf_counter() - began
    print(f"gather, {A_GUESS} at once: {guess_s:.2f} s")

    began = time.perf_counter()
    squares = run_parallel(partial(fetch, port), range(FETCHED))
    took_s = time.perf_counter() - began
    print(f"run_parallel: {took_s:.2f} s, a gain of {guess_s / took_s:.1f} times")

    assert squares == expected
    print(squares.report)


with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
    assert server.stdout is not None
    try:
        main(int(server.stdout.readline()))
    finally:
        server.kill()
