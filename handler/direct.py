"""A bare request as a Lambda event: what `aws lambda invoke --payload '{"text": …}'` sends."""

from typing import Any, Final

import orjson

from handler.errors import MalformedBody

_PATHS: Final = {"queries": "/rank", "labels": "/classify"} | dict.fromkeys(
    ("text", "image", "items", "input", "messages", "inputText", "inputImage"), "/embeddings"
)
"""Where a bare request goes, by a key that only that contract has."""


def wrap(event: dict[str, Any]) -> dict[str, Any]:
    """Put a bare request into the event it would have arrived in over HTTP.

    Raises:
        MalformedBody: it is no request of ours, or holds what JSON cannot.
    """
    path = next((_PATHS[key] for key in _PATHS if key in event), None)
    if path is None:
        message = (
            "the event is neither HTTP (API Gateway, Function URL, ALB) nor a request such as "
            '{"text": "red sofa"}'
        )
        raise MalformedBody(message, code="malformed_event")
    try:
        body = orjson.dumps(event)
    except (orjson.JSONEncodeError, RecursionError):
        message = (
            "the event holds what JSON cannot: text that is not Unicode, a number over 64 bits, "
            "or more than 250 levels"
        )
        raise MalformedBody(message, code="invalid_json") from None
    return {
        "requestContext": {"http": {"method": "POST", "path": path, "sourceIp": ""}},
        "headers": {"content-type": "application/json"},
        "body": body,
    }
