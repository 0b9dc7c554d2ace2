"""What SageMaker would lose on the way: path, query, accept and request id of the first request.

SageMaker posts everything to /invocations and passes on the body, its Content-Type and one header
of at most 1,024 visible ASCII characters, X-Amzn-SageMaker-Custom-Attributes. The proxy writes

    path=/v1/embeddings;query=normalize%3Dtrue;accept=application/json;id=8476a536

there: `name=value` pairs separated by `;`, values percent-encoded. The answer's own headers come
back the same way, by their names: `x-request-id=8476a536;x-embedding-space=2a6768d3457a`.
Whoever calls the endpoint directly may use the header for anything else: it is then left alone.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handler.routes import EMBEDDING_PATHS

HEADER: Final = "x-amzn-sagemaker-custom-attributes"
LIMIT: Final = 1024
"""Characters of the header (SageMaker Runtime API reference, InvokeEndpoint)."""
INVOCATIONS: Final = "/invocations"
_PATHS: Final = frozenset(EMBEDDING_PATHS) - {INVOCATIONS}
_RETURNED: Final = re.compile(r"x-request-id|x-embedding-[a-z]+")
_VISIBLE: Final = re.compile(r"[ -~]*")


@dataclass(frozen=True)
class Forwarded:
    """The request as it was before SageMaker; None is what nobody told."""

    path: str
    query: str = ""
    accept: str | None = None
    request_id: str | None = None


def read_forwarded(attributes: str) -> Forwarded | None:
    """Return what the header tells, None unless it names a path that embeds."""
    if len(attributes) > LIMIT:
        return None
    found: dict[str, str] = {}
    for pair in attributes.split(";"):
        name, _, value = pair.partition("=")
        found.setdefault(name.strip(), unquote(value.strip()))
    values = [found.get(name) for name in ("query", "accept", "id")]
    if found.get("path") not in _PATHS or not all(_VISIBLE.fullmatch(v or "") for v in values):
        return None
    query, accept, request_id = values
    return Forwarded(found["path"], query or "", accept or None, request_id or None)


def write_returned(headers: Iterable[tuple[str, str]]) -> str:
    """Return an answer's attributes: what its headers say beside the body, as far as it fits."""
    written = ""
    for name, value in headers:
        if _RETURNED.fullmatch(name):
            longer = f"{written};{name}={quote(value)}".lstrip(";")
            written = longer if len(longer) <= LIMIT else written
    return written


class ForwardedPaths:
    """ASGI middleware, outermost: /invocations with such a header is the request it tells of."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; all that tell nothing of that kind pass unchanged."""
        forwarded = None
        if scope["type"] == "http" and scope["path"] == INVOCATIONS:
            forwarded = read_forwarded(Headers(scope=scope).get(HEADER, ""))
        if forwarded is None:
            await self._app(scope, receive, send)
            return

        async def send_attributes(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[HEADER] = write_returned(headers.items())
            await send(message)

        await self._app(_rerouted(scope, forwarded), receive, send_attributes)


def _rerouted(scope: Scope, forwarded: Forwarded) -> Scope:
    headers = MutableHeaders(raw=list(scope["headers"]))
    if forwarded.accept is not None:
        headers["accept"] = forwarded.accept
    if forwarded.request_id is not None:
        headers["x-request-id"] = forwarded.request_id
    return {
        **scope,
        "path": forwarded.path,
        "raw_path": forwarded.path.encode(),
        "query_string": forwarded.query.encode(),
        "headers": headers.raw,
    }
