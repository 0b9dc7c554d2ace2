"""Weaviate's multi2vec-clip contract, in the requests its Go module sends (clients/vectorizer.go).

The module sets no header of its own: no Content-Type, Go's User-Agent. A list it has nothing for is
null. It polls /.well-known/ready until that is below 300, and reads /meta as an object.
"""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from calls import PNG, PNG_64, embed, limited
from starlette.testclient import TestClient

from handler.app import create_app
from handler.embedder import Embedder
from handler.items import Image, Options
from handler.settings import Settings


def vectorize(url: str, body: Any) -> httpx.Response:
    content = json.dumps(body, separators=(",", ":")).encode()
    request = httpx.Request(
        "POST",
        f"{url}/vectorize",
        headers={
            "User-Agent": "Go-http-client/1.1",
            "Accept-Encoding": "gzip",
            "Content-Length": str(len(content)),
        },
        content=content,
    )
    assert "content-type" not in request.headers
    with httpx.Client() as client:
        return client.send(request)


@pytest.mark.parametrize(
    ("texts", "images"),
    [
        (["red circle", "a"], [PNG_64]),
        (["red circle"], None),
        (None, [PNG_64]),
        ([], []),
        (None, None),
    ],
)
def test_the_modules_request(
    url: str, embedder: Embedder, texts: list[str] | None, images: list[str] | None
) -> None:
    answer = vectorize(url, {"texts": texts, "images": images})
    assert answer.status_code == 200
    found = answer.json()
    assert list(found) == ["textVectors", "imageVectors"]
    count = len(texts or [])
    # the container's OpenCLIP variant normalises
    expected = embed(
        embedder, texts or [], [Image(PNG)] * len(images or []), Options(normalize=True)
    )
    assert len(found["textVectors"]) == count
    assert len(found["imageVectors"]) == len(images or [])
    for vector, wanted in zip(
        found["textVectors"] + found["imageVectors"], expected.vectors, strict=True
    ):
        assert np.allclose(vector, wanted, atol=1e-5)


def test_start_and_meta(url: str) -> None:
    with httpx.Client(base_url=url, headers={"User-Agent": "Go-http-client/1.1"}) as client:
        assert client.get("/.well-known/ready").status_code == 204
        assert client.get("/.well-known/live").status_code == 204
        meta = client.get("/meta").json()
    assert meta["model_name"] == "shapes-tiny"
    assert meta["dim"] == 64


def refusal(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    message: str = answer.json()["error"]
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ([], 422, "the body is a list"),
        ({"texts": "a"}, 422, "texts is 'a'; it must be a list of strings"),
        ({"texts": ["a", 1]}, 422, "texts[1] is a number"),
        ({"texts": {}}, 422, "texts is an object"),
        ({"images": [PNG_64, None]}, 422, "images[1] is null"),
        ({"images": PNG_64}, 422, "images is 'iVBOR"),
        ({"images": ["!"]}, 422, "images[0] is not valid base64"),
        ({"images": [""]}, 422, "images[0] is empty"),
        ({"images": ["AAAA"]}, 415, "images[0] is not a picture"),
        ({"images": [PNG_64[:400]]}, 422, "images[0] cannot be decoded"),
        ({"texts": ["a" * 8193]}, 413, "texts[0] has 8193 characters"),
        ({"texts": ["a"] * 200, "images": [PNG_64] * 57}, 413, "257 items in one request"),
    ],
)
def test_bad_requests(client: TestClient, body: Any, status: int, said: str) -> None:
    assert refusal(client.post("/vectorize", json=body), status).startswith(said)


def test_everything_else_in_the_containers_shape(
    client: TestClient, embedder: Embedder, settings: Settings
) -> None:
    assert "not valid JSON" in refusal(client.post("/vectorize", content=b"{"), 400)
    assert "not allowed" in refusal(client.get("/vectorize"), 405)
    with limited(embedder, max_response_bytes=2000) as small:
        assert "send at most 1" in refusal(small.post("/vectorize", json={"texts": ["a"] * 2}), 413)
    loading = TestClient(create_app(lambda: None, settings, lambda record: None))
    assert loading.get("/.well-known/live").status_code == 204
    assert "still loading" in refusal(loading.get("/.well-known/ready"), 503)
    assert "still loading" in refusal(loading.get("/meta"), 503)
    locked = TestClient(
        create_app(
            lambda: embedder,
            Settings(model_name="shapes-tiny", api_key="sesame"),
            lambda record: None,
        )
    )
    assert "Bearer KEY" in refusal(locked.post("/vectorize", json={}), 401)
