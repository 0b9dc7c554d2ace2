"""So many clients at once, each asking again as soon as it has its answer.

`python -m benchmarks.clients PORT FOLDER` reads lines of `text|image CLIENTS SECONDS` and answers
each with the latencies in milliseconds of what was answered in the seconds after a warm-up. The
requests are written by hand: an HTTP library would cost more of the shared CPU than the server.
Loopback only.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.children import READY
from benchmarks.inputs import TEXTS, write_pictures

MOST_CLIENTS: Final = 256
MOST_SECONDS: Final = 100.0
WARM_UP_SECONDS: Final = 4.0
"""Before the measured time: an engine on the CPU prepares itself for every shape it first meets."""


def texts() -> list[str]:
    """Return 64 texts of 4 to 30 tokens."""
    return [" ".join([TEXTS[(at + n) % 16] for n in range(1 + at % 4)]) for at in range(64)]


def requests(kind: str, folder: Path) -> list[bytes]:
    """Return whole HTTP requests to take turns with."""
    if kind == "text":
        bodies = [json.dumps({"text": text}).encode() for text in texts()]
        media = "application/json"
    else:
        paths = write_pictures(folder)
        bodies = [path.read_bytes() for name, path in sorted(paths.items()) if "batch" in name]
        media = "image/jpeg"
    head = "POST /embeddings HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {}\r\ncontent-length: {}"
    return [head.format(media, len(body)).encode() + b"\r\n\r\n" + body for body in bodies]


async def load(port: int, sent: Sequence[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Return {"ms": latencies, "seconds": measured time, "refused": answers other than 200}.

    Measuring begins once every client has had an answer, and goes on until each has had two more.
    """
    started = time.perf_counter()
    begin = end = 0.0
    latencies: list[float] = []
    warm = refused = 0

    async def client(number: int) -> None:
        nonlocal begin, end, warm, refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        at = number
        while not end:
            asked = time.perf_counter()
            writer.write(sent[at % len(sent)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            at += clients
            now = time.perf_counter()
            if end:
                break
            if not head.startswith(b"HTTP/1.1 200"):
                refused += 1
            elif begin:
                latencies.append((now - asked) * 1000)
            warm += 1
            if not begin and warm >= clients and now - started >= WARM_UP_SECONDS:
                begin = now
            enough = begin and now - begin >= seconds and len(latencies) >= 2 * clients
            if enough or now - started > MOST_SECONDS:
                end = now
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return {"ms": latencies, "seconds": end - begin, "refused": refused}


def main() -> None:
    """Run what the lines on stdin ask for."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    sent = {kind: requests(kind, folder) for kind in ("text", "image")}
    print(READY, flush=True)
    for line in sys.stdin:
        kind, clients, seconds = line.split()
        bounded = min(int(clients), MOST_CLIENTS), min(float(seconds), MOST_SECONDS)
        print(READY + json.dumps(asyncio.run(load(port, sent[kind], *bounded))), flush=True)


if __name__ == "__main__":
    main()
