"""A thin dispatcher in front of Mangum: every event gets an answer, malformed ones too.

Mangum raises on events that are not HTTP, on null headers, on a body that is not the base64 it
claims to be and on an IPv6 Host; a raised exception is an opaque 502 for the client. Here an event
is first brought into the shape Mangum expects, or answered with a 4xx in our own error shape.
"""

import base64
import binascii
import logging
from typing import Any, Final, Literal, Protocol

import orjson
from mangum import Mangum
from starlette.types import ASGIApp, Receive, Scope, Send

from handler.direct import wrap
from handler.errors import MalformedBody, PayloadTooLarge, ServiceError
from handler.settings import Settings

log = logging.getLogger("openclip")
logging.getLogger("mangum").setLevel(logging.WARNING)  # our own line has every request already

Kind = Literal["rest", "http", "alb", "direct"]
_ROOT: Final = "openclip.root_path"


class LambdaContext(Protocol):
    """What is used of the object Lambda passes beside an event."""

    aws_request_id: str


class Dispatcher:
    """Callable (event, context) → response, around one ASGI app."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._mangum: Final = Mangum(_WithRootPath(app), lifespan="off")
        self._settings: Final = settings

    def __call__(self, event: object, context: LambdaContext) -> object:
        """Answer one event; never raises for what a client sent."""
        kind = event_kind(event)
        try:
            clean = self._clean(event, kind, context)
        except ServiceError as error:
            return _refusal(kind, error)
        try:
            response: dict[str, Any] = self._mangum(clean, context)
        except Exception:
            # The app answers its own failures, so what arrives here is an event Mangum cannot read.
            log.exception("event of kind %s cannot be read", kind)
            return _refusal(kind, MalformedBody("the event cannot be read", code="malformed_event"))
        if len(response.get("body") or "") > self._settings.max_response_bytes:
            limit = self._settings.max_response_bytes
            message = f"the answer has more than {limit} bytes"
            return _refusal(kind, PayloadTooLarge(message, limit=limit, code="response_too_large"))
        if kind != "direct":
            return response
        body: dict[str, Any] = orjson.loads(response["body"])
        status = response["statusCode"]
        return body if status == 200 else {"statusCode": status, **body}

    def _clean(self, event: object, kind: Kind, context: LambdaContext) -> dict[str, Any]:
        if not isinstance(event, dict):
            raise MalformedBody("the event is not a JSON object", code="malformed_event")
        if kind == "direct":
            event = wrap(event)
        clean = dict(event)
        clean["body"] = _body(event)
        clean["isBase64Encoded"] = False
        headers = _headers(event)
        headers.setdefault("x-request-id", str(getattr(context, "aws_request_id", "")))
        clean["headers"] = headers
        if kind == "alb" and "multiValueHeaders" in event:
            clean["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
        else:
            clean.pop("multiValueHeaders", None)
        for name in ("queryStringParameters", "multiValueQueryStringParameters"):
            if not isinstance(clean.get(name), dict):
                clean.pop(name, None)
        if kind in ("http", "direct"):
            _clean_http(clean, self._settings.root_path)
        else:
            _clean_rest(clean, self._settings.root_path)
        return clean


def event_kind(event: object) -> Kind:
    """Tell API Gateway REST (v1 payloads), HTTP v2 (and Function URLs), ALB and direct invokes."""
    if isinstance(event, dict) and isinstance(event.get("requestContext"), dict):
        if "elb" in event["requestContext"]:
            return "alb"
        if isinstance(event["requestContext"].get("http"), dict):
            return "http"
        if "httpMethod" in event:
            return "rest"
    return "direct"


def strip_prefix(path: str, prefix: str) -> str:
    """Remove a path prefix, whole segments only: /prod/x with /prod → /x, /production/x stays."""
    prefix = "/" + prefix.strip("/")
    if prefix != "/" and (path == prefix or path.startswith(prefix + "/")):
        return path[len(prefix) :] or "/"
    return path


def _clean_http(event: dict[str, Any], root_path: str) -> None:
    context = dict(event["requestContext"])
    http = dict(context["http"])
    path = _text(http.get("path") or event.get("rawPath") or "/", "path")
    path, stage = _without_stage(path, context)
    http["path"] = strip_prefix(path, root_path)
    http["method"] = _text(http.get("method"), "method")
    http.setdefault("sourceIp", "")
    context["http"] = http
    event["requestContext"] = context
    event["version"] = "2.0"
    event["rawQueryString"] = event.get("rawQueryString") or ""
    if not isinstance(event.get("cookies"), list):
        event.pop("cookies", None)
    event[_ROOT] = stage or root_path


def _clean_rest(event: dict[str, Any], root_path: str) -> None:
    path = _text(event.get("path") or "/", "path")
    context = dict(event["requestContext"])
    full, stage = context.get("path"), ""
    if event.get("version") == "1.0":  # an HTTP API with v1 payloads
        path, stage = _without_stage(path, context)
    elif isinstance(full, str) and full != path and full.endswith(path):
        # REST has taken it off already: /prod of /prod/embeddings.
        stage = _text(full[: -len(path)], "requestContext.path")
    event["path"] = strip_prefix(path, root_path)
    event["httpMethod"] = _text(event.get("httpMethod"), "httpMethod")
    if not isinstance(context.get("identity"), dict):
        context["identity"] = {}
    event["requestContext"] = context
    event.setdefault("resource", "/{proxy+}")
    event[_ROOT] = stage or root_path


def _without_stage(path: str, context: dict[str, Any]) -> tuple[str, str]:
    """Split the path of an HTTP API, which holds a named stage, into (path, "/stage" or "")."""
    stage = context.get("stage")
    if not isinstance(stage, str) or stage == "$default":
        return path, ""
    stripped = strip_prefix(path, stage)
    return stripped, "" if stripped == path else f"/{stage}"


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body")
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if not isinstance(body, str):
        raise MalformedBody("the event's body is not a string", field="body")
    try:
        if event.get("isBase64Encoded"):
            return base64.b64decode(body, validate=True)
        return body.encode()
    except (binascii.Error, UnicodeEncodeError, ValueError):
        what = "valid base64" if event.get("isBase64Encoded") else "valid Unicode"
        raise MalformedBody(f"the event's body is not {what}", field="body") from None


def _headers(event: dict[str, Any]) -> dict[str, str]:
    """Return lower-case names to values, without what Mangum or ASGI cannot carry."""
    found: dict[str, str] = {}
    single, several = event.get("headers"), event.get("multiValueHeaders")
    if isinstance(single, dict):
        found |= {k.lower(): v for k, v in single.items() if isinstance(v, str)}
    if isinstance(several, dict):
        for name, values in several.items():
            if isinstance(values, list):
                found[name.lower()] = ", ".join(v for v in values if isinstance(v, str))
    host = found.get("host", "")
    name, _, port = host.partition(":")
    if ":" in host and not (name and port.isdecimal()):  # IPv6, or nonsense
        found["host"] = "localhost"
    if not found.get("x-forwarded-port", "80").isdecimal():
        del found["x-forwarded-port"]
    if found.get("x-forwarded-proto", "https") not in ("http", "https"):
        del found["x-forwarded-proto"]
    return found


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise MalformedBody(f"the event's {field} is not a string", code="malformed_event")
    try:
        value.encode()
    except UnicodeEncodeError:
        message = f"the event's {field} is not valid Unicode"
        raise MalformedBody(message, code="malformed_event") from None
    return value


def _refusal(kind: Kind, error: ServiceError) -> dict[str, Any]:
    if kind == "direct":
        return {"statusCode": error.status, **error.body()}
    headers = {"content-type": "application/json", "access-control-allow-origin": "*"}
    refusal = {
        "statusCode": error.status,
        "headers": headers,
        "body": orjson.dumps(error.body()).decode(),
        "isBase64Encoded": False,
    }
    if kind == "alb":  # it reads one of the two, by a setting of its target group
        refusal["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    return refusal


class _WithRootPath:
    """Tell the app the stage prefix API Gateway has taken off, so that its own links keep it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope["aws.event"].get(_ROOT, "")
        # ASGI wants the prefix in both. Without it redirects lose the stage, and in a stage called
        # `embeddings` Starlette would take the route for the prefix.
        scope["root_path"], scope["path"] = root, root + scope["path"]
        await self._app(scope, receive, send)
