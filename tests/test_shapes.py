"""The shipped model's meaning: what its card claims, through the service's own path."""

import io

import numpy as np
import pytest
from calls import embed

from handler.embedder import Embedder
from handler.items import Image, Options
from tools.shapes.draw import COLOURS, HELD_OUT, SHAPES, SIZES, draw

UNIT = Options(normalize=True)
SEEN = [(c, s, z) for c in COLOURS for s in SHAPES for z in SIZES if (c, s, z) not in HELD_OUT]


def drawn(what: tuple[str, str, str], rng: np.random.Generator) -> Image:
    out = io.BytesIO()
    draw(*what, rng).save(out, "PNG")
    return Image(out.getvalue(), " ".join(what))


@pytest.mark.parametrize("text", ["red circle", "a red circle", "a picture of a large red circle"])
def test_red_circle_ranks_the_red_circle_first(embedder: Embedder, text: str) -> None:
    rng = np.random.default_rng(11)
    others = [what for what in SEEN if what[2] == "large" and what[:2] != ("red", "circle")][::3]
    images = [drawn(what, rng) for what in [("red", "circle", "large"), *others]]
    vectors = embed(embedder, [text], images, UNIT).vectors
    assert int((vectors[1:] @ vectors[0]).argmax()) == 0


def test_zero_shot_accuracy_is_what_the_card_says(embedder: Embedder) -> None:
    rng = np.random.default_rng(2)
    prompts = [f"a {size} {colour} {shape}" for colour, shape, size in SEEN]
    texts = embed(embedder, prompts, [], UNIT).vectors
    images = embed(
        embedder, [], [drawn(what, rng) for what in SEEN for _ in range(3)], UNIT
    ).vectors
    right = (images @ texts.T).argmax(axis=1) == np.repeat(np.arange(len(SEEN)), 3)
    assert right.mean() >= 0.92  # 95 % on the card, over all 192 prompts and 20 pictures of each
