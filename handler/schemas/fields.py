"""Reading requests field by field: what the contracts share.

By hand rather than through pydantic models: a union of string and list gives error messages about
the union, and a megabyte of base64 would be quoted in them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from pydantic_core import from_json

from handler.errors import (
    InvalidRequest,
    MalformedBody,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMedia,
)
from handler.images import decode_base64
from handler.items import Asked, Image, Options, Remote, Text, is_remote
from handler.schemas.contract import Served
from handler.settings import Settings

BYTES_PER_FLOAT = 15
"""Longest JSON form of a float32, `-1.1754944e-38,`: predictions never fall short."""

T = TypeVar("T")


def parse(body: bytes) -> Any:
    """Read JSON; strict UTF-8.

    Raises:
        MalformedBody: it is not JSON.
    """
    try:
        return from_json(body)
    except ValueError as error:
        raise MalformedBody(f"the body is not valid JSON: {error}", code="invalid_json") from None


def an_object(payload: object) -> dict[str, Any]:
    """Return the payload if it is an object, or refuse it."""
    if not isinstance(payload, dict):
        raise InvalidRequest(f"the body is {kind(payload)}, not an object", code="not_an_object")
    return payload


def strings(payload: dict[str, Any], field: str, *, single: bool = True) -> list[tuple[str, str]]:
    """Read a list of strings, or one if `single`, as (name, value); absent and null are empty."""
    value = payload.get(field)
    if value is None:
        return []
    if single and isinstance(value, str):
        return [(field, value)]
    if not isinstance(value, list):
        raise wrong(field, value, ("a string or " if single else "") + "a list of strings")
    named = [(f"{field}[{index}]", item) for index, item in enumerate(value)]
    for name, item in named:
        if not isinstance(item, str):
            raise wrong(name, item, "a string")
    return named


def string(payload: dict[str, Any], field: str) -> str | None:
    """Read a string; None for absent and null."""
    value = payload.get(field)
    if value is not None and not isinstance(value, str):
        raise wrong(field, value, "a string")
    return value


def whole_number(payload: dict[str, Any], field: str, wanted: str) -> int | None:
    """Read a whole number, 8.0 being one in JSON; None for absent and null."""
    value = payload.get(field)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise wrong(field, value, f"a whole number {wanted}")
    return value


def boolean(payload: dict[str, Any], field: str, default: bool) -> bool:
    """Read true, false, or the default for absent and null."""
    value = payload.get(field)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise wrong(field, value, "true or false")
    return value


def choice(payload: dict[str, Any], field: str, choices: Sequence[str], default: T) -> str | T:
    """Read one of several strings, or the default for absent and null."""
    value = payload.get(field)
    if value is None:
        return default
    if not isinstance(value, str) or value not in choices:
        raise wrong(field, value, " or ".join(repr(choice) for choice in choices))
    return value


def dimensions(payload: dict[str, Any], field: str, served: Served) -> int | None:
    """Read the number of components wanted; None for all of them.

    Raises:
        InvalidRequest: not 1 to the model's own number, or shortening is switched off.
    """
    dim = served.manifest.dim
    value = whole_number(payload, field, f"from 1 to {dim}")
    if value is None:
        return None
    if not 1 <= value <= dim:
        raise InvalidRequest(
            f"{field} must be from 1 to {dim} with this model", field=field, limit=dim
        )
    if value < dim and served.settings.dimensions == "refuse":
        raise InvalidRequest(
            f"{field} is {value}; this deployment gives whole vectors of {dim} only (DIMENSIONS)",
            field=field,
            limit=dim,
            code="dimensions_refused",
        )
    return None if value == dim else value


def unit_options(
    served: Served,
    keep: int | None = None,
    truncate: Literal["end", "none"] = "end",
    normalize: bool = True,
) -> Options:
    """Return the options of a contract whose vectors have unit length; `keep` components."""
    settings = served.settings
    return Options(normalize, truncate, settings.decode, settings.orient, keep)


def text(value: str, field: str, settings: Settings) -> Text:
    """Return one text within the limit.

    Raises:
        PayloadTooLarge: it has more characters than it may.
    """
    if len(value) > settings.max_text_chars:
        raise PayloadTooLarge(
            f"{field} has {len(value)} characters; at most {settings.max_text_chars}",
            field=field,
            limit=settings.max_text_chars,
            code="text_too_large",
        )
    return Text(value, field)


def picture(value: str, field: str, settings: Settings) -> Image | Remote:
    """Return one picture given as base64, data URI, or https or s3 URL.

    Raises:
        InvalidRequest: not base64.
        PayloadTooLarge: more bytes than it may have.
    """
    if is_remote(value):
        return Remote(value, field)
    return Image(decode_base64(value, field, settings.max_image_bytes), field)


def each(
    named: Sequence[tuple[str, T]],
    read: Callable[[T, str, Settings], Asked],
    settings: Settings,
    errors: Literal["fail", "item"] = "fail",
) -> list[Asked]:
    """Read every (name, value); what is wrong with one stands in its place if `errors` is item."""
    found: list[Asked] = []
    for name, value in named:
        try:
            found.append(read(value, name, settings))
        except (InvalidRequest, PayloadTooLarge, UnsupportedMedia) as error:
            if errors == "fail":
                raise
            found.append(error)
    return found


def check_count(count: int, field: str, limit: int, note: str = "") -> None:
    """Refuse more items than one request may have; `note` ends the message.

    Raises:
        PayloadTooLarge: names the limit.
    """
    if count > limit:
        raise PayloadTooLarge(
            f"{count} items in one request; at most {limit}{note}",
            field=field,
            limit=limit,
            code="too_many_items",
        )


def predict_response(count: int, dim: int, field: str, settings: Settings, extra: int = 0) -> None:
    """Refuse a request whose answer would pass the limit, before any work is done.

    `extra`: bytes of the answer that are known already.

    Raises:
        PayloadTooLarge: names the number of items that fits.
    """
    each_one = dim * BYTES_PER_FLOAT + 8
    fixed = 512 + extra
    if count * each_one + fixed > settings.max_response_bytes:
        fits = max((settings.max_response_bytes - fixed) // each_one, 0)
        raise PayloadTooLarge(
            f"the answer for {count} items of {dim} floats could pass "
            f"{settings.max_response_bytes} bytes; send at most {fits} items a request",
            field=field,
            limit=fits,
            code="response_too_large",
        )


def wrong(field: str, value: object, wanted: str) -> InvalidRequest:
    """Return the refusal of a field with a value of another kind than it may have."""
    return InvalidRequest(
        f"{field} is {kind(value)}; it must be {wanted}", field=field, code="wrong_type"
    )


def kind(value: object) -> str:
    """Name a JSON value for an error message; never a long one."""
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


def refuse(error: ServiceError) -> tuple[int, dict[str, Any]]:
    """Return the native error shape, {"error": {"code", "message", "field", "limit"}}."""
    return error.status, error.body()
