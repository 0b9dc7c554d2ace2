"""The shipped bundle against open_clip with the same checkpoint, in every batch and order."""

import random
from typing import Any

import numpy as np
import pytest
from calls import embed
from corpus_pictures import corpus as picture_corpus
from corpus_pictures import photograph, saved
from corpus_text import corpus as text_corpus
from numpy.typing import NDArray
from reference import open_picture

from handler.bake.checkpoint import Checkpoint, load_checkpoint, open_clip, torch
from handler.bundle import Bundle, space_id
from handler.embedder import Embedder
from handler.items import Image, Options
from handler.vectors import cosines

LOWEST = 0.99999
SAME = 1e-5
"""Largest difference of a unit vector's components between two batches: another shape may make
OpenVINO sum in another order, nothing else."""


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint("shapes-tiny", "", None)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Texts of every length from nothing to far too long, and a hundred others."""
    lengths = [" ".join(["red"] * count) for count in range(82)]
    return [*lengths, *random.Random(3).sample(text_corpus(), 118)]


@pytest.fixture(scope="module")
def images() -> list[Image]:
    some = list(picture_corpus().items())[::5]
    photographs = [(f"photograph {n}", saved(photograph(200, 160, n), "JPEG")) for n in range(8)]
    return [Image(data, name) for name, data in (*some, *photographs)]


@pytest.fixture(scope="module")
def text_vectors(checkpoint: Checkpoint, texts: list[str]) -> NDArray[np.float32]:
    tokens = open_clip.get_tokenizer(checkpoint.source)(texts)
    with torch.inference_mode():
        return np.asarray(checkpoint.model.encode_text(tokens, normalize=False).numpy())


@pytest.fixture(scope="module")
def image_vectors(checkpoint: Checkpoint, images: list[Image]) -> NDArray[np.float32]:
    pixels = torch.stack([checkpoint.preprocess(open_picture(image.data)) for image in images])
    with torch.inference_mode():
        return np.asarray(checkpoint.model.encode_image(pixels, normalize=False).numpy())


def unit(vectors: Any) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_the_bundle_is_the_checkpoints(bundle: Bundle, checkpoint: Checkpoint) -> None:
    manifest = bundle.manifest
    assert manifest.weights_sha256 == checkpoint.weights_sha256
    assert manifest.space == space_id(manifest, "f32", "exact", "reference")
    assert manifest.logit_scale == pytest.approx(float(checkpoint.model.logit_scale.detach().exp()))
    assert min(manifest.checks["text_cosine"], manifest.checks["image_cosine"]) >= LOWEST
    assert manifest.checks["pixel_difference"] == 0.0
    assert manifest.text.trim
    bundle.verify()


def test_texts(embedder: Embedder, texts: list[str], text_vectors: NDArray[np.float32]) -> None:
    assert len(texts) == 200
    found = embed(embedder, texts, [], Options())
    worst = cosines(found.vectors, text_vectors).min()
    print(f"worst cosine of {len(texts)} texts: 1 - {1 - worst:.2g}")
    assert worst >= LOWEST
    np.testing.assert_allclose(
        np.linalg.norm(found.vectors, axis=1), np.linalg.norm(text_vectors, axis=1), rtol=1e-3
    )
    limit = embedder.manifest.tokenizer.context_length
    reference = open_clip.get_tokenizer("ViT-B-32")
    assert found.truncated == [len(reference.encode(text)) + 2 > limit for text in texts]


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")
def test_pictures(
    embedder: Embedder, images: list[Image], image_vectors: NDArray[np.float32]
) -> None:
    found = embed(embedder, [], images, Options()).vectors
    worst = cosines(found, image_vectors).min()
    print(f"worst cosine of {len(images)} pictures: 1 - {1 - worst:.2g}")
    assert worst >= LOWEST


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_mixture_of_lengths(
    embedder: Embedder, texts: list[str], text_vectors: NDArray[np.float32], seed: int
) -> None:
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    found = embed(embedder, [texts[at] for at in order], [], Options()).vectors
    assert cosines(found, text_vectors[order]).min() >= LOWEST


def test_every_batch_size_gives_the_single_results(
    embedder: Embedder, texts: list[str], images: list[Image]
) -> None:
    options = Options(normalize=True)
    alone = np.concatenate([embed(embedder, [text], [], options).vectors for text in texts[:40]])
    pictured = np.concatenate([embed(embedder, [], [i], options).vectors for i in images[:40]])
    worst = 0.0
    for size in range(1, 41):
        found = embed(embedder, texts[:size], [], options).vectors
        worst = max(worst, float(np.abs(found - alone[:size]).max()))
        found = embed(embedder, [], images[:size], options).vectors
        worst = max(worst, float(np.abs(found - pictured[:size]).max()))
    print(f"worst difference between a batch and single requests: {worst:.2g}")
    assert worst <= SAME


def test_a_mixed_request_gives_texts_first(
    embedder: Embedder, texts: list[str], images: list[Image]
) -> None:
    options = Options(normalize=True)
    mixed = embed(embedder, texts[5:12], images[3:8], options)
    assert mixed.vectors.shape == (12, embedder.manifest.dim)
    assert mixed.vectors.dtype == np.float32
    assert len(mixed.truncated) == 12
    np.testing.assert_allclose(
        mixed.vectors[:7], embed(embedder, texts[5:12], [], options).vectors, atol=SAME
    )
    np.testing.assert_allclose(
        mixed.vectors[7:], embed(embedder, [], images[3:8], options).vectors, atol=SAME
    )


def test_normalisation_is_open_clips(
    embedder: Embedder, checkpoint: Checkpoint, texts: list[str]
) -> None:
    tokens = open_clip.get_tokenizer(checkpoint.source)(texts[:20])
    with torch.inference_mode():
        expected = checkpoint.model.encode_text(tokens, normalize=True).numpy()
    found = embed(embedder, texts[:20], [], Options(normalize=True)).vectors
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    plain = embed(embedder, texts[:20], [], Options()).vectors
    np.testing.assert_allclose(found, unit(plain), atol=SAME)


def test_equal_inputs_give_equal_vectors(embedder: Embedder, images: list[Image]) -> None:
    texts = ["a red circle"] * 9
    found = embed(embedder, texts, [images[0]] * 9, Options(normalize=True)).vectors
    np.testing.assert_allclose(found[:9], found[:1].repeat(9, axis=0), atol=SAME)
    np.testing.assert_allclose(found[9:], found[9:10].repeat(9, axis=0), atol=SAME)


def test_nothing_to_embed(embedder: Embedder) -> None:
    assert embed(embedder, [], [], Options()).vectors.shape == (0, embedder.manifest.dim)
