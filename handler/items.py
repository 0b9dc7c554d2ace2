"""What is embedded: the one form every contract's request is decoded to."""

from dataclasses import dataclass
from typing import Literal

from handler.errors import ServiceError


@dataclass(frozen=True)
class Text:
    """One text and the request field it came from, for error messages."""

    text: str
    field: str = "text"


@dataclass(frozen=True)
class Image:
    """One picture's file bytes and the request field it came from."""

    data: bytes
    field: str = "image"


@dataclass(frozen=True)
class Remote:
    """A picture that has still to be fetched from an https or s3 URL."""

    url: str
    field: str


def is_remote(text: str) -> bool:
    """Say whether a picture is named by a URL, of those that are read here or refused."""
    return text[:8].lower().startswith(("https://", "http://", "s3://"))


Item = Text | Image
Asked = Text | Image | Remote | ServiceError
"""What a contract decodes an item to; an error stands for an item that failed on the way."""


@dataclass(frozen=True)
class Options:
    """What a request may choose; `decode` and `orient` lead into other spaces.

    `dimensions`: keep the first so many components, then normalise if asked to. `errors`: "item"
    lets good items pass beside bad ones, "fail" refuses the request at the first bad one.
    """

    normalize: bool = False
    truncate: Literal["end", "none"] = "end"
    decode: Literal["exact", "fast"] = "exact"
    orient: Literal["reference", "exif"] = "reference"
    dimensions: int | None = None
    errors: Literal["fail", "item"] = "fail"
