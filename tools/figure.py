"""Draw the README's picture: similarities of drawn pictures and texts, from a running server.

`make run` in one terminal, then: python -m tools.figure docs/similarity.png
"""

import base64
import io
import sys
from pathlib import Path

import httpx
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tools.shapes.draw import draw

PICTURES = [
    ("red", "circle", "large"),
    ("blue", "square", "small"),
    ("green", "star", "large"),
    ("yellow", "triangle", "medium"),
    ("purple", "heart", "large"),
]
TEXTS = [
    "a red circle",
    "a small blue square",
    "a large green star",
    "a yellow triangle",
    "a purple heart",
    "something blue",
    "a star",
]
CELL, LEFT, TOP = 92, 190, 104


def similarities(url: str, images: list[Image.Image]) -> np.ndarray:
    """Return float (texts, pictures): cosine similarities by way of POST /embeddings."""
    encoded = []
    for image in images:
        out = io.BytesIO()
        image.save(out, "PNG")
        encoded.append(base64.b64encode(out.getvalue()).decode())
    body = {"text": TEXTS, "image": encoded, "normalize": True}
    found = httpx.post(f"{url}/embeddings", json=body, timeout=30).raise_for_status().json()
    vectors = np.array(found["embeddings"], np.float32)
    return vectors[: len(TEXTS)] @ vectors[len(TEXTS) :].T


def main(out: Path, url: str = "http://127.0.0.1:7860") -> None:
    """Write the figure."""
    rng = np.random.default_rng(20)
    images = [draw(*what, rng, 80) for what in PICTURES]
    scores = similarities(url, images)
    font = ImageFont.load_default(17)
    size = (LEFT + CELL * len(images) + 10, TOP + 44 * len(TEXTS) + 10)
    figure = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(figure)
    for column, image in enumerate(images):
        figure.paste(image.resize((80, 80)), (LEFT + column * CELL + 6, 12))
    low, high = float(scores.min()), float(scores.max())
    for row, text in enumerate(TEXTS):
        y = TOP + row * 44
        pen.text((LEFT - 12, y + 21), text, fill="black", font=font, anchor="rm")
        for column, score in enumerate(scores[row]):
            share = (float(score) - low) / (high - low)
            colour = tuple(round(255 + share * (end - 255)) for end in (16, 98, 160))
            x = LEFT + column * CELL
            pen.rectangle((x + 2, y + 2, x + CELL - 2, y + 40), fill=colour)
            ink = "white" if share > 0.55 else "black"
            pen.text((x + CELL // 2, y + 21), f"{score:.2f}", fill=ink, font=font, anchor="mm")
    figure.save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
