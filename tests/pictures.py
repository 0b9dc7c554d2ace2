"""Small real picture files for tests that need any picture."""

import io

import numpy as np
from PIL import Image


def picture(
    mode: str = "RGB", size: tuple[int, int] = (80, 60), format_name: str = "PNG", **options: object
) -> bytes:
    """Return the file bytes of a deterministic noisy picture."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, format_name, **options)
    return out.getvalue()
