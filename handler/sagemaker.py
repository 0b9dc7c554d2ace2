"""What SageMaker asks of a container beside its requests: health, batch limits, attributes."""

import re
import time
from typing import Final

import anyio
import orjson
from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handler.call import Call
from handler.embedder import Embedder
from handler.errors import NotReady
from handler.forwarded import HEADER, ForwardedPaths
from handler.settings import Settings

_ATTRIBUTES: Final = re.compile(r"[ -~]{1,1024}")
"""At most 1,024 visible ASCII characters (SageMaker Runtime API reference, InvokeEndpoint)."""

PROBE_SECONDS: Final = 1.5
"""/ping has to answer in 2."""
TRANSFORM_MB: Final = 6
"""A record of a Batch Transform job unless the job says otherwise: a large photo as base64."""
TRANSFORM_TOTAL_MB: Final = 100
"""Records sent at once, together (API reference, CreateTransformJob)."""
MOST_TRANSFORMS: Final = 64


def add_sagemaker(app: FastAPI, settings: Settings) -> None:
    """Add GET /execution-parameters, and read or echo custom attributes on /invocations."""
    payload = max(min(settings.max_body_bytes // 2**20, TRANSFORM_MB), 1)
    parameters = {
        "MaxConcurrentTransforms": min(TRANSFORM_TOTAL_MB // payload, MOST_TRANSFORMS),
        # Of a mini-batch of short texts the answers could pass any limit; ours batches anyway.
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": payload,
    }

    async def execution_parameters(_: Request) -> Response:
        return Response(orjson.dumps(parameters), media_type="application/json")

    app.add_route("/execution-parameters", execution_parameters, ["GET"])
    app.add_middleware(EchoAttributes)
    app.add_middleware(ForwardedPaths)


class EchoAttributes:
    """ASGI middleware: what a caller wrote into the header comes back with the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; attributes that are too long or not ASCII are left out."""
        given = ""
        if scope["type"] == "http" and scope["path"] == "/invocations":
            given = Headers(scope=scope).get(HEADER, "")
        if not _ATTRIBUTES.fullmatch(given):
            await self.app(scope, receive, send)
            return

        async def send_back(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault(HEADER, given)
            await send(message)

        await self.app(scope, receive, send_back)


async def recover(embedder: Embedder, reason: str) -> None:
    """Ask an engine that seemed ill for the baked probe's vectors.

    Raises:
        NotReady: it does not give them in time.
    """
    call = Call(deadline=time.monotonic() + PROBE_SECONDS)
    try:
        # A thread of its own: the usual ones may all be waiting for the same engine.
        await anyio.to_thread.run_sync(
            embedder.warm_up, call, limiter=anyio.CapacityLimiter(1), abandon_on_cancel=True
        )
    except Exception:  # whatever it is, no request would fare better
        raise NotReady(f"the engine does not answer: {reason}") from None
