"""HEIC, the format of iPhone photos, where the extra `heic` is installed (pi-heif: libheif, LGPL).

A decoder for strangers' bytes is a risk, and this one is not Pillow's own: it is opt-in.
"""

from handler.errors import UnsupportedMedia

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
"""Major brands of files that hold HEVC pictures (ISO/IEC 23008-12, annex B)."""


def is_heic(data: bytes) -> bool:
    """Tell by the file's first box; AVIF, which shares the container, is Pillow's own."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS and b"avif" not in data[12:32]


def register(field: str) -> None:
    """Make Pillow able to open HEIC files; turned as the file itself says, as every viewer does.

    Raises:
        UnsupportedMedia: the extra is not installed.
    """
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        raise UnsupportedMedia(
            f"{field} is a HEIC file, which this deployment does not read; send JPEG", field=field
        ) from None
    register_heif_opener(thumbnails=False)
