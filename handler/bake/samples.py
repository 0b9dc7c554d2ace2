"""The texts and pictures a bake is checked with: small, ugly, and the same every time."""

import io
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

PROBE_TEXT: Final = "a red sofa"
"""Plain ASCII and within 8 tokens: warming up imports no cleaning and prepares one shape."""

TEXTS: Final = (
    "red sofa",
    "",
    " ",
    "a",
    "A Photo Of A RED Sofa!!!",
    "a photograph of a very large red sofa standing in the middle of a room with white walls",
    "it's we'll they've I'd don't",
    "don’t “quote” — dash… naïve café Zürich",
    "cafe\u0301 A\u030angstro\u0308m",
    "fish &amp; chips &amp;amp; &lt;b&gt; &nbsp;&#233;",
    "tab\tnew\nline\r\nfeed\x0c\x0bvertical",
    "control \x00\x01\x1b[31m\x7f characters",
    "<start_of_text>hello<end_of_text> world <END_OF_TEXT>",
    "数字123と漢字、ひらがな カタカナ 한국어 中文",
    "مرحبا بالعالم שלום עולם",
    "Привет МИР ΑΒΓ ſtraße ﬁne K İstanbul",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪",
    "1234567890 3.14159 1,000,000 ½ ² Ⅳ ٣",
    "snake_case CamelCase kebab-case path/to/file.jpg https://example.com/?q=a&b=c",
    "zero\u200bwidth\u00a0space\ufeff bom \u202ertl\u202c",
    "mojibake: cafÃ© â€œquotesâ€\x9d",
    "x" * 300,
    "supercalifragilisticexpialidocious" * 4,
    " ".join(["word"] * 100),
    "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 4,
    "!@#$%^&*()_+-=[]{}|;':\",./<>?`~",
    "''s ''t 's't're've'm'll'd",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕤𝕥𝕪𝕝𝕖",
)


def probe_picture() -> bytes:
    """Return a 320 x 240 PNG with edges, a gradient and noise: every frequency, no JPEG decoder."""
    rng = np.random.default_rng(7)
    across, down = np.meshgrid(np.arange(320), np.arange(240))
    base = np.stack([across * 255 // 319, down * 255 // 239, (across + down) % 256], axis=-1)
    noisy = np.clip(base + rng.integers(-20, 21, base.shape), 0, 255).astype(np.uint8)
    image = Image.fromarray(noisy)
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 40, 160, 140), fill=(220, 30, 30))
    draw.polygon([(200, 200), (300, 180), (250, 80)], fill=(20, 60, 200))
    return _saved(image, "PNG")


def pictures() -> dict[str, bytes]:
    """Return file bytes by name: every mode the reference treats differently, and odd shapes."""
    probe = Image.open(io.BytesIO(probe_picture())).convert("RGB")
    alpha = probe.copy()
    alpha.putalpha(probe.convert("L").point(lambda v: 255 - v))
    palette = probe.quantize(64)
    transparent = io.BytesIO()
    palette.save(transparent, "PNG", transparency=3)
    sixteen = Image.fromarray(np.asarray(probe.convert("L")).astype(np.uint16) * 257)
    return {
        "RGB png": _saved(probe, "PNG"),
        "RGB jpeg": _saved(probe, "JPEG", quality=90),
        "CMYK jpeg": _saved(probe.convert("CMYK"), "JPEG", quality=90),
        "L jpeg": _saved(probe.convert("L"), "JPEG", quality=90),
        "RGBA png": _saved(alpha, "PNG"),
        "LA png": _saved(alpha.convert("LA"), "PNG"),
        "P png": _saved(palette, "PNG"),
        "P png transparent": transparent.getvalue(),
        "1 png": _saved(probe.convert("1"), "PNG"),
        "I;16 png": _saved(sixteen, "PNG"),
        "webp": _saved(alpha, "WEBP", lossless=True),
        "1x1": _saved(probe.resize((1, 1)), "PNG"),
        "tall": _saved(probe.resize((7, 400)), "PNG"),
        "wide": _saved(probe.resize((401, 9)), "PNG"),
        "odd": _saved(probe.resize((333, 227)), "PNG"),
    }


def _saved(image: Image.Image, format_name: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()
