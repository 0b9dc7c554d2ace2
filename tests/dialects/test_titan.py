"""The body of Amazon Titan Multimodal Embeddings, on the paths it shares with others."""

import json
from typing import Any

import numpy as np
import pytest
from calls import PNG, PNG_64, embed, limited
from numpy.typing import NDArray
from starlette.testclient import TestClient

from handler.embedder import Embedder
from handler.items import Image, Options
from handler.vectors import normalize

PATHS = pytest.mark.parametrize("path", ["/invocations", "/embeddings"])


@pytest.fixture
def raw(embedder: Embedder) -> NDArray[np.float32]:
    return embed(embedder, ["red circle"], [Image(PNG)], Options()).vectors


def length(count: Any) -> dict[str, Any]:
    return {"embeddingConfig": {"outputEmbeddingLength": count}}


@PATHS
def test_text_picture_and_their_average(
    client: TestClient, raw: NDArray[np.float32], path: str
) -> None:
    unit, cut = normalize(raw), normalize(raw[:, :16])
    text, image = {"inputText": "red circle"}, {"inputImage": PNG_64}
    for body, expected, tokens in (
        (text, unit[0], 4),
        (image, unit[1], 0),
        ({**text, "inputImage": None, "embeddingConfig": None}, unit[0], 4),
        ({**text, **image}, unit.mean(axis=0), 4),
        ({**text, **length(16), "embeddingTypes": ["float"]}, cut[0], 4),
        ({**text, **image, **length(16)}, cut.mean(axis=0), 4),
        ({**image, **length(64)}, unit[1], 0),
        ({**image, "embeddingConfig": {}}, unit[1], 0),
    ):
        found = client.post(path, json=body).json()
        assert list(found) == ["embedding", "inputTextTokenCount", "message"]
        assert np.allclose(found["embedding"], expected, atol=1e-5)
        assert found["inputTextTokenCount"] == tokens
        assert found["message"] is None


def refusal(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["message"]
    message: str = answer.json()["message"]
    assert len(message) < 400
    return message


@PATHS
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"inputText": None}, "give inputText, inputImage or both"),
        ({"inputText": 1}, "inputText is a number"),
        ({"inputText": ["a"]}, "inputText is a list"),
        ({"inputImage": {}}, "inputImage is an object"),
        ({"inputImage": ""}, "inputImage is empty"),
        ({"inputImage": "no base64!"}, "inputImage is not valid base64"),
        ({"inputImage": "AAAA"}, "inputImage is not a picture"),
        ({"inputImage": PNG_64[:400]}, "inputImage cannot be decoded"),
        ({"inputText": "a", "embeddingConfig": 16}, "embeddingConfig is a number"),
        ({"inputText": "a", **length(0)}, "embeddingConfig.outputEmbeddingLength must be from 1"),
        (
            {"inputText": "a", **length(1024)},
            "embeddingConfig.outputEmbeddingLength must be from 1",
        ),
        ({"inputText": "a", **length("16")}, "embeddingConfig.outputEmbeddingLength is '16'"),
        (
            {"inputText": "a", **length(float("nan"))},
            "embeddingConfig.outputEmbeddingLength is a nu",
        ),
        ({"inputText": "a", "embeddingTypes": ["binary"]}, "embeddingTypes is a list"),
        ({"inputText": "a", "dimensions": 16}, "dimensions is of Titan's text models"),
        ({"inputText": "a", "normalize": False}, "normalize is of Titan's text models"),
        ({"inputText": "a" * 8193}, "inputText has 8193 characters; at most 8192"),
    ],
)
def test_bad_requests(client: TestClient, path: str, body: Any, said: str) -> None:
    kind = {"content-type": "application/json"}
    answer = client.post(path, content=json.dumps(body), headers=kind)
    assert refusal(answer, 400).startswith(said)


def test_a_short_answer_limit(embedder: Embedder) -> None:
    with limited(embedder, max_response_bytes=1024) as small:
        answer = small.post("/invocations", json={"inputText": "a"})
    assert "could pass 1024 bytes" in refusal(answer, 400)
