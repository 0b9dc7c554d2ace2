"""Content parts, as chat messages and Cohere's inputs hold them: texts and image URLs in a list."""

from typing import Any

from handler.errors import InvalidRequest
from handler.items import Asked
from handler.schemas.fields import kind, picture, text, wrong
from handler.settings import Settings

_WANTED = 'an object with "type": "text" or "image_url"'


def parts(value: object, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the parts of a list with their names.

    Raises:
        InvalidRequest: not a list, or an empty one.
    """
    if not isinstance(value, list):
        raise wrong(name, value, "a list of parts")
    if not value:
        raise InvalidRequest(f"{name} is empty", field=name, code="nothing_to_embed")
    return [(f"{name}[{index}]", part) for index, part in enumerate(value)]


def one_part(part: object, name: str, settings: Settings) -> Asked:
    """Read {"type": "text", "text": …} or {"type": "image_url", "image_url": {"url": …}}.

    Raises:
        InvalidRequest: neither.
    """
    if not isinstance(part, dict):
        raise wrong(name, part, _WANTED)
    match part.get("type"):
        case "text":
            value = part.get("text")
            if not isinstance(value, str):
                raise wrong(f"{name}.text", value, "a string")
            return text(value, f"{name}.text", settings)
        case "image_url":
            holder = part.get("image_url")
            if not isinstance(holder, dict):
                raise wrong(f"{name}.image_url", holder, 'an object with a "url"')
            url = holder.get("url")
            if not isinstance(url, str):
                raise wrong(f"{name}.image_url.url", url, "a data URI or a URL")
            return picture(url, f"{name}.image_url.url", settings)
        case other:
            raise InvalidRequest(
                f"{name}.type is {kind(other)}; it must be 'text' or 'image_url'",
                field=f"{name}.type",
                code="wrong_type",
            )
