"""Ranking and zero-shot labels: open_clip's own arithmetic, on the vectors the service gives."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from calls import PNG_64, error, limited
from PIL import Image as Pil
from starlette.testclient import TestClient

from handler.bundle import Manifest
from handler.embedder import Embedder
from handler.items import Image, Item, Options, Text
from handler.schemas.rank import probabilities
from handler.torchvision_ops import ensure_torchvision
from tools.docker_engine import ROOT
from tools.shapes.draw import draw

ensure_torchvision()
import open_clip  # noqa: E402

THINGS = [("red", "circle"), ("blue", "square"), ("green", "star")]
TEXTS = [f"a {colour} {shape}" for colour, shape in THINGS]


def drawn(colour: str, shape: str) -> bytes:
    out = io.BytesIO()
    draw(colour, shape, "large", np.random.default_rng(3)).save(out, "PNG")
    return out.getvalue()


PICTURES = [drawn(*thing) for thing in THINGS]
ENCODED = [base64.b64encode(data).decode() for data in PICTURES]


def test_pictures_find_their_texts_as_in_open_clip(client: TestClient) -> None:
    """The reference is open_clip's own forward pass and softmax, on the shipped checkpoint."""
    body = {
        "queries": [{"image": data} for data in ENCODED],
        "candidates": [{"text": text} for text in TEXTS],
    }
    found = client.post("/rank", json=body).json()
    folder = ROOT / "models" / "shapes-tiny"
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
    pixels = torch.stack([transform(Pil.open(io.BytesIO(data))) for data in PICTURES])
    with torch.inference_mode():
        images, texts, scale = model.eval()(pixels, tokens)[:3]
        cosines = images @ texts.T
        expected = (scale * cosines).softmax(dim=-1)
    np.testing.assert_allclose(found["cosine_similarities"], cosines.numpy(), atol=1e-4)
    np.testing.assert_allclose(found["probabilities"], expected.numpy(), atol=1e-3)
    assert np.argmax(found["probabilities"], axis=1).tolist() == [0, 1, 2]
    assert found["logit_scale"] == pytest.approx(float(scale))


def test_any_mix_on_both_sides(client: TestClient, embedder: Embedder) -> None:
    queries: list[dict[str, str]] = [{"text": "a red circle"}, {"image": ENCODED[1]}]
    candidates = [{"image": ENCODED[0]}, {"text": "a blue square"}, {"image": ENCODED[1]}]
    found = client.post("/rank", json={"queries": queries, "candidates": candidates}).json()
    left: list[Item] = [Text("a red circle"), Image(PICTURES[1])]
    right: list[Item] = [Image(PICTURES[0]), Text("a blue square"), Image(PICTURES[1])]
    unit = Options(normalize=True)
    expected = embedder.embed(left, unit).vectors @ embedder.embed(right, unit).vectors.T
    np.testing.assert_allclose(found["cosine_similarities"], expected, atol=1e-5)
    assert found["cosine_similarities"][1][2] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(np.sum(found["probabilities"], axis=1), [1, 1])
    assert found["space"] == embedder.default_space


def test_a_checkpoint_with_a_bias_has_a_sigmoid(embedder: Embedder) -> None:
    cosines = np.array([[0.2, -0.9], [1.0, 0.05]], np.float32)
    manifest: Manifest = embedder.manifest.model_copy(
        update={"logit_scale": 117.33, "logit_bias": -12.93}
    )
    expected = torch.sigmoid(torch.from_numpy(cosines).double() * 117.33 - 12.93)
    np.testing.assert_allclose(probabilities(cosines, manifest), expected.numpy(), rtol=1e-9)


def test_extreme_scales_stay_finite(embedder: Embedder) -> None:
    cosines = np.array([[1.0, -1.0]], np.float32)
    for bias in (None, -5000.0, 5000.0):
        update = {"logit_scale": 1e5, "logit_bias": bias}
        found = probabilities(cosines, embedder.manifest.model_copy(update=update))
        assert np.isfinite(found).all()
        assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "queries"),
        ({"queries": []}, "queries"),
        ({"queries": "a"}, "queries"),
        ({"queries": ["a"]}, "queries[0]"),
        ({"queries": [{"text": "a"}]}, "candidates"),
        ({"queries": [{"text": "a"}], "candidates": [{"image": "!"}]}, "candidates[0].image"),
        ({"queries": [{"text": 1}], "candidates": []}, "queries[0].text"),
        ([], None),
    ],
)
def test_rank_names_what_is_wrong(client: TestClient, body: object, field: str | None) -> None:
    found = client.post("/rank", json=body)
    assert found.status_code == 422
    assert found.json()["error"]["field"] == field


def test_rank_has_limits(embedder: Embedder) -> None:
    texts = [{"text": str(index)} for index in range(9)]
    with limited(embedder, max_items=10) as client:
        body = {"queries": texts, "candidates": texts}
        assert error(client.post("/rank", json=body), 413, "too_many_items")["limit"] == 10
    with limited(embedder, max_response_bytes=2000) as client:
        error(client.post("/rank", json=body), 413, "response_too_large")


def test_zero_shot_labels(client: TestClient, embedder: Embedder) -> None:
    labels = ["red circle", "blue square", "green star"]
    templates = ["a {}", "a picture of a {}"]
    body = {"image": ENCODED, "labels": labels, "templates": templates}
    found = client.post("/classify", json=body).json()
    assert found["best"] == found["labels"] == labels
    unit = Options(normalize=True)
    means = []
    for label in labels:
        prompts = [Text(template.format(label)) for template in templates]
        mean = embedder.embed(prompts, unit).vectors.mean(axis=0)
        means.append(mean / np.linalg.norm(mean))
    images = embedder.embed([Image(data) for data in PICTURES], unit).vectors
    np.testing.assert_allclose(found["cosine_similarities"], images @ np.array(means).T, atol=1e-5)
    np.testing.assert_allclose(np.sum(found["probabilities"], axis=1), [1, 1, 1])
    one = client.post("/classify", json={"image": ENCODED[0], "labels": labels}).json()
    assert len(one["best"]) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": None}, "image"),
        ({"image": []}, "image"),
        ({"labels": []}, "labels"),
        ({"labels": ["a", 5]}, "labels[1]"),
        ({"templates": "no place"}, "templates"),
        ({"templates": ["a {}", "{} and {}"]}, "templates[1]"),
        ({"labels": [str(index) for index in range(256)]}, "labels"),
    ],
)
def test_classify_names_what_is_wrong(
    client: TestClient, change: dict[str, Any], field: str
) -> None:
    found = client.post("/classify", json={"image": PNG_64, "labels": ["a", "b"]} | change)
    assert found.status_code in (413, 422)
    assert found.json()["error"]["field"] == field


def test_braces_in_a_label_are_just_braces(client: TestClient) -> None:
    body = {"image": PNG_64, "labels": ["{}", "{0.__class__}"]}
    assert client.post("/classify", json=body).status_code == 200
