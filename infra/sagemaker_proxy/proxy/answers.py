"""What leaves the proxy: answers in API Gateway's shape, refusals in the service's own."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Final

MAX_BYTES: Final = 6_000_000
"""Lambda ends an answer of more than 6,291,556 bytes, headers included, with an opaque error."""
_TEXT: Final = ("application/json", "application/x-jsonlines", "application/x-ndjson", "text/")
_CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "location,retry-after,x-request-id,x-embedding-space,"
    "x-embedding-shape,x-embedding-truncated,x-embedding-lossy",
}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `code` goes to the log, as does nothing of `body`."""

    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    code: str | None = None


class Refusal(Exception):
    """An answer of the proxy's own; `retry_after` in seconds."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        limit: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.limit = limit
        self.retry_after = retry_after

    def answer(self) -> Answer:
        """Return it in the native contract's one error shape."""
        error = {"code": self.code, "message": self.message}
        body = {"error": {**error, "field": self.field, "limit": self.limit}}
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return Answer(self.status, dumps(body), headers=headers, code=self.code)


def dumps(value: object) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def to_event(answer: Answer, request_id: str) -> dict[str, Any]:
    """Return what API Gateway wants from a function; text as text, anything else as base64."""
    text = answer.kind.lower().startswith(_TEXT)
    size = len(answer.body) if text else (len(answer.body) + 2) // 3 * 4
    if size > MAX_BYTES:
        message = f"the answer has {size} bytes; ask for fewer vectors, or POST /jobs"
        answer = Refusal(413, "response_too_large", message, limit=MAX_BYTES).answer()
        text = True
    body = (
        answer.body.decode("utf-8", "replace") if text else base64.b64encode(answer.body).decode()
    )
    headers = {"content-type": answer.kind, "x-request-id": request_id, **_CORS, **answer.headers}
    return {
        "statusCode": answer.status,
        "headers": headers,
        "body": body,
        "isBase64Encoded": not text,
    }
