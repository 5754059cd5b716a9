"""A small HTTP server on the loopback, for one benchmark: ``python -m ... DEGRADES_FROM``.

It answers each GET after 20 ms with the number in its path. Where it degrades, more
requests at once than so many make each take longer than their share: twice as many,
four times as long.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final

LATENCY_S: Final = 0.02
LIFE_S: Final = 120.0
"""It ends by then, whatever became of who started it."""


class Server:
    """Answers requests, and knows how many it is at.

    Args:
        degrades_from: Requests at once above which it does; 0 for never.
    """

    def __init__(self, degrades_from: int) -> None:
        self._degrades_from = degrades_from
        self._at_once = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection until its end."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                number = head.split(b" ", 2)[1].removeprefix(b"/")
                await self._wait()
                length = str(len(number)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n%b"
                    % (length, number)
                )
        writer.close()

    async def _wait(self) -> None:
        self._at_once += 1
        over = self._at_once / self._degrades_from if self._degrades_from else 0.0
        try:
            await asyncio.sleep(LATENCY_S * max(1.0, over**2))
        finally:
            self._at_once -= 1


async def main() -> None:
    """Serve until the end, or for `LIFE_S` seconds."""
    server = await asyncio.start_server(
        Server(int(sys.argv[1])).serve, "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    with suppress(TimeoutError):
        await asyncio.wait_for(server.serve_forever(), LIFE_S)


if __name__ == "__main__":
    asyncio.run(main())
