"""Many requests at once on a server: how many get in, threads for all of them, who has left."""

import asyncio
from typing import Final

import anyio
from starlette.requests import ClientDisconnect, Request

from handler.arrival import read_request
from handler.batching.lane import overloaded
from handler.call import Call
from handler.frame import Record
from handler.schemas.contract import Answer
from handler.service import Service
from handler.settings import Settings

FEWEST_THREADS: Final = 64
MOST_THREADS: Final = 256
"""They sleep while the engine works; each costs memory for its stack and its request."""


class Crowd:
    """Runs requests in threads of their own, so that enough of them wait to fill a batch."""

    def __init__(self, settings: Settings) -> None:
        self._settings: Final = settings
        # One batch runs, the next one waits, a third is being decoded or answered.
        wanted = 3 * (settings.max_batch or 0)
        self._threads: Final = anyio.CapacityLimiter(min(max(wanted, FEWEST_THREADS), MOST_THREADS))
        self._inside = 0
        self._bytes = 0

    async def answer(self, request: Request, path: str, service: Service, record: Record) -> Answer:
        """Answer a request unless its client leaves before.

        Raises:
            Overloaded: MAX_QUEUE requests, or MAX_QUEUE_BYTES of them, are being answered.
            ClientDisconnect: the client has gone, so that nobody reads the answer.
        """
        size = self._admit(request)
        self._inside += 1
        self._bytes += size
        try:
            arrived = await read_request(request, self._settings)
            leaving = asyncio.create_task(_watch(request, record.call))
            try:
                answer = await anyio.to_thread.run_sync(
                    service.answer, path, arrived, record, limiter=self._threads
                )
            finally:
                leaving.cancel()
        finally:
            self._inside -= 1
            self._bytes -= size
        if record.call.cancelled.is_set():
            raise ClientDisconnect
        return answer

    def _admit(self, request: Request) -> int:
        """Return the bytes a request may hold, as far as it says; a lone one is always let in."""
        limits = self._settings
        if self._inside >= limits.max_queue:
            raise overloaded(limits.max_queue, 1)
        declared = request.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() else limits.max_body_bytes
        size = min(size, limits.max_body_bytes)
        if self._inside and self._bytes + size > limits.max_queue_bytes:
            raise overloaded(limits.max_queue_bytes, 1)
        return size


async def _watch(request: Request, call: Call) -> None:
    """Wait for the client to go; nothing else can come once the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    call.cancelled.set()
