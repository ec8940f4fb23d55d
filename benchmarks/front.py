"""A wire with a delay before a server, that notes the requests: `python front.py PORT BACK ROUND_TRIP SEEN [RATE]`.

What is sent arrives half a round trip (seconds) later, each way, and a new connection costs one more, as TCP's
handshake does. At most RATE bytes a second come back on each connection. SEEN gets a line for each request: the time,
the connection's number, the request line.
"""

import asyncio
import math
import re
import sys
import time
from itertools import count
from pathlib import Path
from typing import TextIO

REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")


async def pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    delay: float,
    rate: float = math.inf,
    note: object = None,
) -> None:
    """Every byte, `delay` seconds after it came, and after those before it have had their time."""
    loop, line = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]](1024 if rate == math.inf else 8)

    async def deliver() -> None:
        while True:
            due, data = await line.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                writer.close()
                return
            began = loop.time()
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(max(0.0, began + len(data) / rate - loop.time()))

    delivering = asyncio.create_task(deliver())
    try:
        while data := await reader.read(1 << 18):
            if callable(note) and (found := REQUEST.match(data)):
                note(found)
            await line.put((loop.time() + delay, data))
    except ConnectionError:
        pass
    await line.put((loop.time() + delay, b""))
    await asyncio.gather(delivering, return_exceptions=True)


async def serve(port: int, back: str, round_trip: float, seen: TextIO, rate: float) -> None:
    """Until it is ended."""
    host, _, back_port = back.partition(":")
    numbers = count(1)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, half = next(numbers), round_trip / 2

        def note(found: re.Match[bytes]) -> None:
            seen.write(f"{time.time():.4f} {number} {found[1].decode()} {found[2].decode()}\n")
            seen.flush()

        await asyncio.sleep(round_trip)
        there, thither = await asyncio.open_connection(host, int(back_port))
        await asyncio.gather(pass_on(reader, thither, half, note=note), pass_on(there, writer, half, rate))

    server = await asyncio.start_server(meet, "127.0.0.1", port, limit=1 << 20)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[4]).open("w", encoding="ascii") as opened:
        asyncio.run(serve(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), opened, float((*sys.argv, "inf")[5])))
