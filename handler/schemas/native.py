"""The native contract: `POST /embeddings {"text", "image"}`, the predecessor's, with additions.

Requests are read by hand rather than through a pydantic model: a union of string and list gives
error messages about the union, and a megabyte of base64 would be quoted in them. documents.py has
the contract for OpenAPI.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import orjson
from pydantic_core import from_json

from handler.bundle import Manifest
from handler.embedder import Embeddings, Image, Options
from handler.errors import InvalidRequest, MalformedBody, PayloadTooLarge
from handler.images import decode_base64, image_too_large
from handler.settings import Settings

BYTES_PER_FLOAT = 15
"""Longest JSON form of a float32, `-1.1754944e-38,`: predictions never fall short."""


@dataclass(frozen=True)
class Request:
    """A decoded request: items and options, within every limit."""

    texts: list[str]
    images: list[Image]
    options: Options


def decode(body: bytes, settings: Settings, dim: int) -> Request:
    """Read a request body.

    Raises:
        MalformedBody: not JSON.
        InvalidRequest: JSON of another shape; names the field.
        PayloadTooLarge: more items, characters or bytes than a limit, or an answer too large.
    """
    payload = _object(body)
    texts = _strings(payload, "text")
    encoded = _strings(payload, "image")
    if not texts and not encoded:
        raise InvalidRequest(
            "give `text`, `image` or both: a string or a non-empty list of strings",
            field="text",
            code="nothing_to_embed",
        )
    count = len(texts) + len(encoded)
    if count > settings.max_items:
        raise PayloadTooLarge(
            f"{count} items in one request; at most {settings.max_items}",
            field="text" if len(texts) >= len(encoded) else "image",
            limit=settings.max_items,
            code="too_many_items",
        )
    predict_response(count, dim, settings)
    for name, text in _named("text", payload, texts):
        if len(text) > settings.max_text_chars:
            raise PayloadTooLarge(
                f"{name} has {len(text)} characters; at most {settings.max_text_chars}",
                field=name,
                limit=settings.max_text_chars,
                code="text_too_large",
            )
    images = [
        Image(decode_base64(data, name, settings.max_image_bytes), name)
        for name, data in _named("image", payload, encoded)
    ]
    return Request(texts, images, _options(payload, settings))


def decode_picture(body: bytes, query: Mapping[str, str], settings: Settings, dim: int) -> Request:
    """Read a body that is a picture file itself; options come from the query string.

    Raises:
        InvalidRequest: no body, or an option with a value it cannot have.
        PayloadTooLarge: more bytes than one picture may have.
    """
    if not body:
        raise InvalidRequest("the body is empty", field="body", code="empty_image")
    if len(body) > settings.max_image_bytes:
        raise image_too_large("body", settings.max_image_bytes)
    predict_response(1, dim, settings)
    payload: dict[str, Any] = dict(query)
    if (flag := payload.get("normalize")) in ("true", "false"):
        payload["normalize"] = flag == "true"
    return Request([], [Image(body, "body")], _options(payload, settings))


def encode(
    found: Embeddings, manifest: Manifest, device: str, options: Options, seconds: float
) -> bytes:
    """Return the response body; floats in the shortest form that reads back as the same float32."""
    return orjson.dumps(
        {
            "model": manifest.model_id,
            "device": device,
            "embeddings": found.vectors,
            "duration": round(seconds, 6),
            "space": found.space,
            "dim": manifest.dim,
            "normalized": options.normalize,
            "truncated": found.truncated,
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def predict_response(count: int, dim: int, settings: Settings) -> None:
    """Refuse a request whose answer would pass the limit, before any work is done.

    Raises:
        PayloadTooLarge: names the number of items that fits.
    """
    each = dim * BYTES_PER_FLOAT + 8
    if count * each + 512 > settings.max_response_bytes:
        fits = max((settings.max_response_bytes - 512) // each, 0)
        raise PayloadTooLarge(
            f"the answer for {count} items of {dim} floats could pass "
            f"{settings.max_response_bytes} bytes; send at most {fits} items a request",
            field="text",
            limit=fits,
            code="response_too_large",
        )


def _object(body: bytes) -> dict[str, Any]:
    try:
        payload = from_json(body)
    except ValueError as error:
        raise MalformedBody(f"the body is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(payload, dict):
        raise InvalidRequest(f"the body is {_kind(payload)}, not an object", code="not_an_object")
    return payload


def _strings(payload: dict[str, Any], field: str) -> list[str]:
    value = payload.get(field)
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise _wrong(field, value, "a string or a list of strings")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise _wrong(f"{field}[{index}]", item, "a string")
    return value


def _named(field: str, payload: dict[str, Any], values: list[str]) -> list[tuple[str, str]]:
    """Pair values with the name a client knows them by: `text`, or `text[3]` in a list."""
    if isinstance(payload.get(field), str):
        return [(field, values[0])]
    return [(f"{field}[{index}]", value) for index, value in enumerate(values)]


def _options(payload: dict[str, Any], settings: Settings) -> Options:
    normalize = payload.get("normalize")
    if normalize is not None and not isinstance(normalize, bool):
        raise _wrong("normalize", normalize, "true or false")
    return Options(
        normalize=bool(normalize),
        truncate=_choice(payload, "truncate", "end"),
        decode=_choice(payload, "decode", settings.decode),
        orient=_choice(payload, "orient", settings.orient),
    )


_CHOICES = {
    name: get_args(hint)
    for name, hint in get_type_hints(Options).items()
    if name in ("truncate", "decode", "orient")
}


def _choice(payload: dict[str, Any], field: str, default: str) -> Any:
    value = payload.get(field)
    if value is None:
        return default
    if value not in _CHOICES[field]:
        raise _wrong(field, value, " or ".join(repr(choice) for choice in _CHOICES[field]))
    return value


def _wrong(field: str, value: object, wanted: str) -> InvalidRequest:
    return InvalidRequest(
        f"{field} is {_kind(value)}; it must be {wanted}", field=field, code="wrong_type"
    )


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return f"{value[:40]!r}"
        case list():
            return "a list"
    return "an object"
