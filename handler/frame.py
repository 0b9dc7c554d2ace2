"""What surrounds every request: an id, a clock, a record, and no traceback outside."""

import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handler.call import Call
from handler.errors import InternalError, ServiceError
from handler.items import Asked, Image, Remote, Text

log = logging.getLogger("openclip")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._=:-]{1,128}\Z")


@dataclass
class Record:
    """One request's outcome: counts and times, nothing of its content."""

    method: str
    path: str
    request_id: str
    status: int = 0
    code: str | None = None
    texts: int = 0
    images: int = 0
    seconds: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    call: Call = field(default_factory=Call)

    def count(self, items: Sequence[Asked]) -> None:
        """Add what a request asks for; what could not be read counts as neither."""
        self.texts += sum(isinstance(item, Text) for item in items)
        self.images += sum(isinstance(item, Image | Remote) for item in items)


Observer = Callable[[Record], None]
Refuse = Callable[[Scope, ServiceError], Response]


class Frame:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, observe: Observer, refuse: Refuse) -> None:
        self.app = app
        self.observe = observe
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an exception nobody expected is logged and answered with a 500."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identifier = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        record = Record(scope["method"], scope["path"], identifier)
        scope.setdefault("state", {})["record"] = record

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = identifier
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            record.status, record.code = 499, "client_disconnected"
        except Exception:
            log.exception("request %s failed", identifier)
            record.code = InternalError.default_code
            if record.status:  # the answer has begun: all that is left is to cut it off
                raise
            error = InternalError(f"internal error; the log has it under request id {identifier}")
            response = self.refuse(scope, error)
            await response(scope, receive, send_with_id)
        finally:
            record.seconds = time.perf_counter() - record.started
            self.observe(record)
