"""Texts, pictures and events, made the same way everywhere."""

import base64
import io
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

SHORT: Final = "red sofa"
LONG: Final = " ".join(["a photograph of a red sofa beside a tall window in a quiet room"] * 8)
"""Over 77 tokens: every position of the text tower is used."""
TEXTS: Final = [f"{colour} {thing}" for colour in ("red", "blue", "green", "white") for thing in (
    "sofa in a room", "car", "bird on a branch of an old tree", "cup of coffee on a table"
)]  # fmt: skip
SMALL_SIZE: Final = (640, 480)
LARGE_SIZE: Final = (4000, 3000)


def picture(size: tuple[int, int], seed: int, grain: float) -> bytes:
    """Return a JPEG that costs what a photo costs: gradients, shapes, and grain of every scale."""
    width, height = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [
        110 + 60 * np.sin(x / width * (2 + c) + seed) + 50 * np.cos(y / height * (3 - c))
        for c in range(3)
    ]
    base = np.stack(planes, axis=-1)
    image = Image.fromarray(base.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        left, top = int(rng.integers(0, width)), int(rng.integers(0, height))
        box = (left, top, left + int(rng.integers(9, width // 4)), top + height // 6)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=colour)
    pixels = np.asarray(image, np.float32)
    for scale in (1, 4, 16):
        coarse = rng.normal(0, grain * scale**0.5, (height // scale, width // scale))
        noise = Image.fromarray(coarse.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        pixels = pixels + np.asarray(noise)[..., None]
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


def write_pictures(folder: Path) -> dict[str, Path]:
    """Write "small", "large" and "batch00"… once; return their paths."""
    wanted: dict[str, tuple[tuple[int, int], int, float]] = {
        "small": (SMALL_SIZE, 1, 4.0),
        "large": (LARGE_SIZE, 2, 4.5),
        **{f"batch{i:02}": (SMALL_SIZE, 10 + i, 4.0) for i in range(16)},
    }
    paths = {}
    for name, (size, seed, grain) in wanted.items():
        paths[name] = folder / f"{name}-{size[0]}x{size[1]}.jpg"
        if not paths[name].exists():
            paths[name].write_bytes(picture(size, seed, grain))
    return paths


def encoded(path: Path) -> str:
    """Return a file as base64."""
    return base64.b64encode(path.read_bytes()).decode()


def rest_event(body: dict[str, Any]) -> dict[str, Any]:
    """Return what API Gateway's REST API hands to Lambda for POST /embeddings."""
    return {
        "resource": "/{proxy+}",
        "path": "/embeddings",
        "httpMethod": "POST",
        "headers": {"content-type": "application/json", "host": "x.execute-api.amazonaws.com"},
        "multiValueHeaders": {"content-type": ["application/json"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "path": "/prod/embeddings",
            "stage": "prod",
            "httpMethod": "POST",
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
