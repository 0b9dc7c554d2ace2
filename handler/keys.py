"""The optional bearer key of servers that stand in the open (RFC 6750)."""

import hmac
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from handler.errors import Unauthorized
from handler.frame import Refuse

_OPEN: Final = ("/", "/health", "/ping", "/docs", "/openapi.json")
_OPEN_BELOW: Final = ("/page/", "/.well-known/")
"""Health checks carry no key; the page and the documentation hold no data and ask for one."""


class BearerKey:
    """ASGI middleware: 401 for requests without `Authorization: Bearer KEY`."""

    def __init__(self, app: ASGIApp, key: str, refuse: Refuse) -> None:
        self.app = app
        self._key: Final = key.encode()
        self._refuse: Final = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or self._allowed(scope):
            await self.app(scope, receive, send)
            return
        error = Unauthorized(
            "this server asks for a key: send the header Authorization: Bearer KEY",
            field="authorization",
        )
        await self._refuse(scope, error)(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        if path in _OPEN or path.startswith(_OPEN_BELOW):
            return True
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # compare_digest takes the same time wherever the first difference is. Headers arrive as
        # bytes, which Starlette shows as Latin-1.
        matches = hmac.compare_digest(given.strip().encode("latin-1"), self._key)
        return matches and scheme.lower() == "bearer"
