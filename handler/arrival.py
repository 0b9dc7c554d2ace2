"""The bytes of one request, within the limits, before anybody knows what they mean."""

from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.requests import Request

from handler.errors import MalformedBody, PayloadTooLarge, UnsupportedMedia
from handler.schemas.contract import LINE_TYPES, Arrived
from handler.settings import Settings

_JSON_TYPES = ("", "application/json", "text/plain", "application/x-www-form-urlencoded")
"""The last two are what curl and browsers send when nobody names a type; the body decides."""


async def read_request(request: Request, settings: Settings) -> Arrived:
    """Read a request's body, stopping at the limit whatever Content-Length says.

    Raises:
        PayloadTooLarge: it is larger.
        UnsupportedMedia: its type is neither JSON, nor lines of it, nor a form, nor a picture.
        MalformedBody: it is no form although it says so.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = kind == "multipart/form-data"
    json = kind in _JSON_TYPES or kind.endswith("+json")
    if not (form or json or kind.startswith("image/") or kind in LINE_TYPES):
        raise UnsupportedMedia(
            f"Content-Type {kind[:80]!r} is not read here; send application/json, "
            "application/jsonlines, multipart/form-data or image/*",
            field="content-type",
        )
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UnsupportedMedia("compressed bodies are not read here", field="content-encoding")
    query, accept = dict(request.query_params), request.headers.get("accept", "")
    parts = _limited(request, settings.max_body_bytes)
    if form:
        return Arrived(b"", kind, query, accept, await _read_form(request, parts, settings))
    return Arrived(b"".join([part async for part in parts]), kind, query, accept)


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    error = PayloadTooLarge(
        f"the request body has more than {limit} bytes",
        field="body",
        limit=limit,
        code="body_too_large",
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise error
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise error
        yield part


async def _read_form(
    request: Request, parts: AsyncGenerator[bytes, None], settings: Settings
) -> list[tuple[str, str | bytes]]:
    from starlette.formparsers import MultiPartException, MultiPartParser

    # Items are counted later, with a better message; these two only bound the parser's work.
    allowed = settings.max_items + 64
    parser = MultiPartParser(
        request.headers,
        parts,
        max_files=allowed,
        max_fields=allowed,
        max_part_size=settings.max_body_bytes,
    )
    # The body's own limit is what bounds it, so nothing has to go to a disk Lambda may not have.
    parser.spool_max_size = settings.max_body_bytes
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        reason = getattr(error, "message", "no boundary in Content-Type")
        raise MalformedBody(f"the form cannot be read: {reason}", field="body") from None
    read = [
        (name, await value.read() if isinstance(value, UploadFile) else value)
        for name, value in form.multi_items()
    ]
    await form.close()
    return read
