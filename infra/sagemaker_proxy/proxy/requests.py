"""What arrives: one event of a REST API, read into the request it stands for."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from proxy.answers import Refusal

_HEADER: Final = re.compile(r"[ -~]{0,1024}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._=:-]{1,128}")


@dataclass(frozen=True)
class Request:
    """A request; `stage` is the prefix of its path that API Gateway has taken off."""

    method: str
    path: str
    stage: str
    query: tuple[tuple[str, str], ...]
    kind: str
    accept: str
    body: bytes

    def query_string(self) -> str:
        """Return the query as it would stand in the URL."""
        return urlencode(self.query, errors="replace")


def request_id(event: dict[str, Any]) -> str:
    """Return the client's own request id, else API Gateway's, else a dash."""
    context = event.get("requestContext")
    own = context.get("requestId") if isinstance(context, dict) else None
    for found in (_headers(event).get("x-request-id"), own):
        if isinstance(found, str) and _REQUEST_ID.fullmatch(found):
            return found
    return "-"


def read_request(event: dict[str, Any]) -> Request:
    """Return the request an event stands for.

    Raises:
        Refusal: it is no event of a REST API, or a header cannot be passed on.
    """
    method, path, context = (event.get(k) for k in ("httpMethod", "path", "requestContext"))
    if not (isinstance(method, str) and isinstance(path, str) and isinstance(context, dict)):
        raise Refusal(400, "malformed_event", "the event is not one of an API Gateway REST API")
    full = context.get("path")
    if isinstance(parameters := event.get("pathParameters"), dict) and "proxy" in parameters:
        path = f"/{parameters['proxy']}"  # without the base path of a custom domain
    stage = full[: -len(path)] if isinstance(full, str) and full.endswith(path) else ""
    headers = _headers(event)
    kind, accept = headers.get("content-type", "application/json"), headers.get("accept", "")
    for name, value in (("content-type", kind), ("accept", accept)):
        if not _HEADER.fullmatch(value):
            message = f"{name} is not visible ASCII of at most 1024 characters"
            raise Refusal(400, "malformed_header", message, field=name, limit=1024)
    return Request(method, path, stage, _query(event), kind, accept, _body(event))


def _headers(event: dict[str, Any]) -> dict[str, str]:
    found = event.get("headers")
    pairs = found.items() if isinstance(found, dict) else ()
    return {name.lower(): value for name, value in pairs if isinstance(value, str)}


def _query(event: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    found = event.get("multiValueQueryStringParameters")
    pairs = found.items() if isinstance(found, dict) else ()
    return tuple(
        (name, value)
        for name, values in pairs
        if isinstance(values, list)
        for value in values
        if isinstance(value, str)
    )


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    try:
        return (
            base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        )
    except (AttributeError, TypeError, UnicodeEncodeError, binascii.Error):
        message = "the event's body is not the text or base64 it claims to be"
        raise Refusal(400, "malformed_body", message, field="body") from None
