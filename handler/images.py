"""Untrusted bytes → a loaded PIL image, within limits; base64 in every form clients send."""

import base64
import binascii
import io
import re
import warnings
from typing import Final, Literal

from PIL import (
    AvifImagePlugin,
    Image,
    ImageOps,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from handler.bundle import PreprocessSpec
from handler.errors import InvalidRequest, PayloadTooLarge, UnsupportedMedia
from handler.heic import is_heic, register
from handler.preprocess import target_size

FORMATS: Final[tuple[str, ...]] = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF")
"""Formats that may be opened; Pillow's other decoders are out of a stranger's reach."""

# Pillow imports five decoders by itself, and all forty when it is asked for a sixth.
_DECODERS: Final = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)

_LARGEST_SHIFT: Final = 1 / 16
"""Pixels of the resized picture by which an edge may move; at 1/5 all of it differs by 2/255."""

# Above its own threshold Pillow only warns, and decodes all the same.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_DATA_URI = re.compile(r"data:[^,]{0,256};base64,", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")
_SPACE = str.maketrans("", "", " \t\r\n\v\f")


def decode_base64(text: str, field: str, limit: int) -> bytes:
    """Decode standard or URL-safe base64, padded or not, white space and a data URI allowed.

    Raises:
        InvalidRequest: not base64, or nothing in it.
        PayloadTooLarge: more than `limit` bytes.
    """
    if match := _DATA_URI.match(text):
        text = text[match.end() :]
    if len(text) * 3 // 4 > limit * 2:  # even if half of it were line breaks
        raise image_too_large(field, limit)
    data = text.translate(_SPACE).translate(_URL_SAFE).rstrip("=")
    try:
        decoded = base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            f"{field} is not valid base64 of a picture file", field=field, code="invalid_base64"
        ) from None
    if not decoded:
        raise InvalidRequest(f"{field} is empty", field=field, code="empty_image")
    if len(decoded) > limit:
        raise image_too_large(field, limit)
    return decoded


def load_image(
    data: bytes,
    field: str,
    *,
    max_pixels: int,
    orient: Literal["reference", "exif"] = "reference",
    fast_for: PreprocessSpec | None = None,
) -> Image.Image:
    """Open and decode one picture (the first frame of an animation).

    With `fast_for` a JPEG is decoded at 1/2, 1/4 or 1/8 of its size (DCT scaling), never below
    twice the size it is then resized to, and only where that shifts nothing visibly.

    Raises:
        UnsupportedMedia: not a picture, or a format outside FORMATS.
        PayloadTooLarge: more than `max_pixels`.
        InvalidRequest: a picture that cannot be decoded, for instance a truncated one.
    """
    formats = FORMATS
    if is_heic(data):
        register(field)
        formats = ("HEIF",)
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
        if image.width * image.height > max_pixels:
            raise _too_many_pixels(field, max_pixels, f"{image.width} x {image.height}")
        if fast_for is not None and image.format in ("JPEG", "MPO"):
            _draft(image, fast_for, orient)
        image.load()
        if orient == "exif":
            ImageOps.exif_transpose(image, in_place=True)
    except PayloadTooLarge:
        raise
    except UnidentifiedImageError:
        raise UnsupportedMedia(
            f"{field} is not a picture in a format read here ({', '.join(FORMATS)})", field=field
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _too_many_pixels(field, max_pixels, "more pixels than that") from None
    except Exception as error:
        # A broken file makes Pillow's decoders raise nearly anything (OSError, SyntaxError,
        # struct.error, KeyError, zlib.error …); all of it means that this file can't be read.
        raise InvalidRequest(
            f"{field} cannot be decoded as a picture ({type(error).__name__}); "
            "the file may be truncated or damaged",
            field=field,
            code="undecodable_image",
        ) from None
    return image


def _draft(image: Image.Image, spec: PreprocessSpec, orient: str) -> None:
    """Have a JPEG decoded at a fraction of its size, if one is left that is large enough."""
    width, height = target_size(image.width, image.height, spec)
    if orient == "exif":  # it may yet be turned on its side
        turned_height, turned_width = target_size(image.height, image.width, spec)
        width, height = max(width, turned_width), max(height, turned_height)
    for scale in (8, 4, 2):
        found = image.width // scale, image.height // scale
        # A size that the scale does not divide is rounded up, which stretches the picture.
        shift = max(
            -image.width % scale * width / image.width,
            -image.height % scale * height / image.height,
        )
        if found[0] >= 2 * width and found[1] >= 2 * height and shift <= _LARGEST_SHIFT:
            image.draft(None, found)
            return


def image_too_large(field: str, limit: int) -> PayloadTooLarge:
    """Return the refusal of a picture file with too many bytes."""
    return PayloadTooLarge(
        f"{field} has more than {limit} bytes", field=field, limit=limit, code="image_too_large"
    )


def _too_many_pixels(field: str, limit: int, found: str) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"{field} has {found}; at most {limit} pixels are decoded",
        field=field,
        limit=limit,
        code="too_many_pixels",
    )
