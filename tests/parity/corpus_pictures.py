"""More than 200 picture files: every mode, format and shape the reference treats differently."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw, ImageFilter

EIGHT_BIT: Final = ("RGB", "L", "RGBA", "LA", "P", "1", "CMYK")
DEEP: Final = ("I;16", "I", "F")
_SHAPES: Final = (
    (64, 64),  # a target size; others one pixel to either side of it
    (63, 64),
    (64, 65),
    (65, 63),
    (32, 48),
    (80, 48),
    (48, 32),
    (1, 1),
    (1, 37),
    (53, 1),
    (2, 2),
    (7, 400),
    (3000, 10),
    (333, 227),
    (201, 640),
    (1023, 769),
)


def noise(width: int, height: int, bands: int = 3) -> NDArray[np.uint8]:
    """Return uint8 (height, width, bands): noise over a gradient, so that edges and flats occur."""
    rng = np.random.default_rng(width * 10_007 + height)
    gradient = np.linspace(0, 255, width * height * bands).reshape(height, width, bands)
    noisy = np.where(
        rng.random(gradient.shape) < 0.4, rng.uniform(0, 256, gradient.shape), gradient
    )
    return noisy.astype(np.uint8)


def drawn(mode: str, width: int, height: int) -> Image.Image:
    """Return a picture in any mode Pillow can hold and a file can carry."""
    match mode:
        case "I;16":
            return Image.fromarray(noise(width, height, 1)[..., 0].astype(np.uint16) * 257)
        case "I":
            return Image.fromarray(noise(width, height, 1)[..., 0].astype(np.int32) * 3 - 200)
        case "F":
            return Image.fromarray(noise(width, height, 1)[..., 0].astype(np.float32) * 1.3 - 30)
        case "RGBA" | "LA":
            return Image.fromarray(noise(width, height, 4)).convert(mode)
        case "P":
            return Image.fromarray(noise(width, height)).quantize(37)
    return Image.fromarray(noise(width, height)).convert(mode)


def saved(image: Image.Image, format_name: str, **options: object) -> bytes:
    """Return the bytes of a picture file."""
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


def in_mode(mode: str, width: int, height: int) -> bytes:
    """Return a lossless file that opens in `mode`."""
    format_name = "TIFF" if mode in ("CMYK", "I", "F", "YCbCr", "PA", "LAB") else "PNG"
    return saved(drawn(mode, width, height), format_name)


def corpus() -> dict[str, bytes]:
    """Return file bytes by name."""
    found = {
        f"{mode} {width}x{height}": in_mode(mode, width, height)
        for mode in (*EIGHT_BIT, *DEEP)
        for width, height in _SHAPES
    }
    return found | dict(_formats())


def _formats() -> Iterator[tuple[str, bytes]]:
    rgb, rgba, grey = (drawn(mode, 201, 143) for mode in ("RGB", "RGBA", "L"))
    palette = drawn("P", 201, 143)
    for quality in (5, 50, 95):
        for sampling in (0, 1, 2):
            name = f"JPEG quality {quality} subsampling {sampling}"
            yield name, saved(rgb, "JPEG", quality=quality, subsampling=sampling)
    yield "JPEG progressive", saved(rgb, "JPEG", progressive=True)
    yield "JPEG grey", saved(grey, "JPEG")
    yield "JPEG CMYK", saved(rgb.convert("CMYK"), "JPEG")
    yield "JPEG with restarts", saved(rgb, "JPEG", restart_marker_rows=1)
    yield "JPEG RGB kept", saved(rgb, "JPEG", keep_rgb=True)
    for orientation in range(1, 9):
        yield f"JPEG orientation {orientation}", oriented(rgb, orientation)
    for transparency in (0, 5, bytes(range(0, 222, 6))):
        yield (
            f"PNG palette transparency {transparency!r}",
            saved(palette, "PNG", transparency=transparency),
        )
    yield "PNG RGB transparency", saved(rgb, "PNG", transparency=(0, 0, 0))
    yield "PNG L transparency", saved(grey, "PNG", transparency=7)
    for bits in (1, 2, 4):
        few = Image.fromarray(noise(201, 143)).quantize(2**bits)
        yield f"PNG palette of {bits} bits", saved(few, "PNG", bits=bits)
    yield "PNG interlaced", _interlaced()
    yield "PNG gamma and profile", saved(rgb, "PNG", icc_profile=b"not really one", dpi=(300, 300))
    yield "GIF", saved(palette, "GIF")
    yield "GIF transparent", saved(palette, "GIF", transparency=3)
    frames = [drawn("RGB", 90, 61).rotate(shift) for shift in (0, 90, 180)]
    for format_name in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
        yield (
            f"{format_name} animated",
            saved(frames[0], format_name, save_all=True, append_images=frames[1:]),
        )
    yield (
        "GIF animated with its own palettes",
        saved(
            frames[0].quantize(16), "GIF", save_all=True, append_images=[frames[1].quantize(200)]
        ),
    )
    for image, name in ((rgb, "RGB"), (rgba, "RGBA")):
        yield f"WEBP {name}", saved(image, "WEBP")
        yield f"WEBP lossless {name}", saved(image, "WEBP", lossless=True, exact=True)
        yield f"AVIF {name}", saved(image, "AVIF")
    for image in (rgb, rgba, grey, palette, drawn("1", 201, 143)):
        yield f"BMP {image.mode}", saved(image, "BMP")
        yield f"TIFF {image.mode}", saved(image, "TIFF")
        for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
            yield f"TIFF {image.mode} {compression}", saved(image, "TIFF", compression=compression)
    yield "TIFF JPEG", saved(rgb, "TIFF", compression="jpeg")
    yield "TIFF group 4", saved(drawn("1", 201, 143), "TIFF", compression="group4")
    for mode in ("YCbCr", "LAB"):
        yield f"TIFF {mode}", saved(rgb.convert(mode) if mode == "YCbCr" else _lab(), "TIFF")
    yield "TIFF PA", saved(_palette_alpha(), "TIFF")
    yield "TIFF 16 bit big-endian", _big_endian()
    for image in (rgb, grey, drawn("1", 201, 143), drawn("I;16", 20, 30)):
        yield f"PPM {image.mode}", saved(image, "PPM")
    yield "PPM plain", b"P3 3 2 255 " + b" ".join(b"%d" % v for v in range(0, 252, 14))
    yield "PPM float", saved(drawn("F", 33, 21), "PPM")
    yield "MPO", saved(rgb, "MPO", save_all=True, append_images=[rgb.rotate(90)])


def oriented(image: Image.Image, orientation: int, format_name: str = "JPEG") -> bytes:
    """Return a file whose EXIF data say how the camera was held."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return saved(image, format_name, exif=exif)


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return something with a photograph's spectrum: soft shapes, shading, edges and grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        size = rng.uniform(0.02, 0.25) * min(width, height)
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y, x + size, y + size * rng.uniform(0.3, 2)), fill=colour)
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(1.2))).astype(np.float32)
    pixels += rng.normal(0, 4, (height, width, 1)).astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _lab() -> Image.Image:
    return Image.frombytes("LAB", (201, 143), noise(201, 143).tobytes())


def _palette_alpha() -> Image.Image:
    image = Image.fromarray(noise(201, 143, 4))
    return image.convert("RGB").quantize(40).convert("PA")


def _big_endian() -> bytes:
    """Return a TIFF Pillow opens in mode I;16B."""
    values = noise(201, 143, 1)[..., 0].astype(">u2") * 257
    return saved(Image.frombytes("I;16B", (201, 143), values.astype(">u2").tobytes()), "TIFF")


def _interlaced() -> bytes:
    """Return an interlaced (Adam7) PNG, which Pillow reads and does not write."""
    pixels = noise(37, 29)
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    rows = b"".join(
        b"\0" + row.tobytes()
        for left, top, across, down in (*passes, (0, 1, 1, 2))
        for row in pixels[top::down, left::across]
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 37, 29, 8, 2, 0, 0, 1)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
