"""Every picture format and every way to write one down; everything else is a 415."""

import base64
import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from calls import PNG, error, post
from pi_heif import register_heif_opener
from pictures import picture
from PIL import Image as Pil
from starlette.testclient import TestClient

from handler.call import Call
from handler.embedder import Embedder
from handler.items import Image, Options
from handler.preprocess import preprocess
from tools.docker_engine import ROOT

HEIC = (ROOT / "tests" / "data" / "red-circle.heic").read_bytes()
"""A drawn red circle, 96x64, written with pillow-heif 1.8 (libx265)."""
READ = {
    name: picture("RGB" if name != "GIF" else "P", format_name=name)
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
} | {"HEIC": HEIC}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("name", READ)
def test_formats_that_are_read(client: TestClient, embedder: Embedder, name: str) -> None:
    """The pixels are those Pillow gives when it is asked for the file without further ado."""
    found = post(client, {"image": encoded(READ[name])})
    assert found.status_code == 200, found.text
    register_heif_opener(thumbnails=False)
    opened = Pil.open(io.BytesIO(READ[name]))
    pixels = preprocess(opened, embedder.manifest.preprocess)
    expected = embedder.embed([Image(PNG), Image(READ[name])], Options()).vectors[1]
    np.testing.assert_allclose(found.json()["embeddings"][0], expected, atol=1e-5)
    alone = embedder._pixels(Image(READ[name]), Options(), Call())
    np.testing.assert_array_equal(alone, pixels)


@pytest.mark.parametrize("name", ["ICO", "TGA", "PCX", "SGI", "EPS", "PDF", "ICNS", "JPEG2000"])
def test_formats_that_are_not(client: TestClient, name: str) -> None:
    data = picture(size=(64, 64), format_name=name)
    found = error(post(client, {"image": encoded(data)}), 415, "unsupported_media_type")
    assert found["field"] == "image"
    assert "JPEG" in found["message"]


@pytest.mark.parametrize("size", [0, 12, 40, 300, 1000, len(HEIC) - 1])
def test_a_broken_heic(client: TestClient, size: int) -> None:
    found = post(client, {"image": encoded(HEIC[:size] or b"x")})
    assert found.status_code in (415, 422)


def test_heic_without_its_extra() -> None:
    """In a process of its own, from which the plugin is kept away."""
    script = f"""
import sys
sys.modules["pi_heif"] = None
from handler.errors import UnsupportedMedia
from handler.images import load_image
try:
    load_image({HEIC[:64]!r}, "image[3]", max_pixels=100)
except UnsupportedMedia as error:
    print(error.message)
"""
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.startswith("image[3] is a HEIC file, which this deployment does not read")


@pytest.mark.parametrize(
    "write",
    [
        encoded,
        lambda data: encoded(data).rstrip("="),
        lambda data: base64.urlsafe_b64encode(data).decode(),
        lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
        lambda data: base64.encodebytes(data).decode(),
        lambda data: " \t\r\n".join(encoded(data)),
        lambda data: f"data:image/png;base64,{encoded(data)}",
        lambda data: f"DATA:image/png;charset=utf-8;base64,{encoded(data)}",
    ],
)
def test_every_spelling_of_base64(client: TestClient, write: Any) -> None:
    expected = post(client, {"image": encoded(PNG)}).json()["embeddings"]
    found = post(client, {"image": write(PNG)})
    assert found.json()["embeddings"] == expected


def test_a_raw_body_of_each_type(client: TestClient) -> None:
    for name, data in READ.items():
        headers = {"content-type": f"image/{name.lower()}"}
        raw = client.post("/embeddings", content=data, headers=headers).json()
        np.testing.assert_allclose(
            raw["embeddings"], post(client, {"image": encoded(data)}).json()["embeddings"]
        )
