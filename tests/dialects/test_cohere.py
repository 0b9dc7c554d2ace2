"""Cohere's contract: the official client over HTTP, every embedding type, and every refusal."""

import asyncio
import base64
import json
from typing import Any

import cohere
import numpy as np
import pytest
from calls import PNG, PNG_64, embed, limited
from starlette.testclient import TestClient

from handler.embedder import Embedder
from handler.items import Image, Options
from handler.vectors import normalize

URI = "data:image/png;base64," + PNG_64
UNIT = Options(normalize=True)
TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
TEXT_PART = {"type": "text", "text": "red circle"}
IMAGE_PART = {"type": "image_url", "image_url": {"url": URI}}


def ask(url: str, **request: Any) -> Any:
    client = cohere.ClientV2(api_key="any", base_url=url)
    try:
        return client.embed(**{"model": "embed-v4.0", "input_type": "search_document", **request})
    finally:
        client._client_wrapper.httpx_client.httpx_client.close()


def test_texts(url: str, embedder: Embedder) -> None:
    texts = ["red circle", "", "blue square " * 40]
    answer = ask(url, texts=texts)
    expected = embed(embedder, texts, [], UNIT)
    assert np.allclose(answer.embeddings.float_, expected.vectors, atol=1e-5)
    assert answer.texts == texts
    assert answer.response_type == "embeddings_by_type"
    assert answer.meta.api_version.version == "2"
    assert answer.meta.billed_units.input_tokens == sum(expected.tokens)
    assert answer.meta.billed_units.images is None
    assert answer.id
    assert answer.id != ask(url, texts=texts).id


def test_images(url: str, embedder: Embedder) -> None:
    answer = ask(url, images=[URI], input_type="image")
    assert np.allclose(answer.embeddings.float_, embed(embedder, [], [Image(PNG)], UNIT).vectors)
    assert answer.texts == []
    assert answer.meta.billed_units.images == 1


def test_inputs_of_several_parts_are_their_mean(url: str, embedder: Embedder) -> None:
    inputs = [
        {"content": [TEXT_PART]},
        {"content": [TEXT_PART, IMAGE_PART]},
        {"content": [IMAGE_PART]},
    ]
    answer = ask(url, inputs=inputs, output_dimension=24)
    cut = normalize(embed(embedder, ["red circle"], [Image(PNG)], Options()).vectors[:, :24])
    expected = [cut[0], normalize(cut.mean(axis=0)[None])[0], cut[1]]
    assert np.allclose(answer.embeddings.float_, expected, atol=1e-5)


def test_every_embedding_type(url: str, embedder: Embedder) -> None:
    found = ask(url, texts=["red circle"], embedding_types=TYPES).embeddings
    vector = np.array(found.float_[0], np.float32)
    assert np.allclose(vector, embed(embedder, ["red circle"], [], UNIT).vectors[0], atol=1e-5)
    scaled = np.rint(vector * (127 / np.abs(vector).max())).astype(int)
    assert np.abs(np.array(found.int8[0]) - scaled).max() <= 1
    assert (np.array(found.uint8) == np.array(found.int8) + 128).all()
    assert found.ubinary[0] == np.packbits(vector > 0).tolist()
    assert (np.array(found.binary) == np.array(found.ubinary) - 128).all()
    assert np.array_equal(np.frombuffer(base64.b64decode(found.base64[0]), "<f4"), vector)


def test_the_async_client(url: str, embedder: Embedder) -> None:
    async def embed_one() -> Any:
        client = cohere.AsyncClientV2(api_key="any", base_url=url)
        try:
            return await client.embed(model="m", input_type="search_query", texts=["red circle"])
        finally:
            await client._client_wrapper.httpx_client.httpx_client.aclose()

    found = asyncio.run(embed_one()).embeddings.float_
    assert np.allclose(found, embed(embedder, ["red circle"], [], UNIT).vectors, atol=1e-5)


def test_the_clients_error_classes(url: str, locked_url: str) -> None:
    with pytest.raises(cohere.BadRequestError) as bad:
        ask(url, texts=["a"], truncate="START")
    assert bad.value.body["message"].startswith("truncate 'START' is not done here")
    with pytest.raises(cohere.UnauthorizedError) as locked:
        ask(locked_url, texts=["a"])
    assert "Authorization: Bearer KEY" in locked.value.body["message"]


def refusal(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert sorted(answer.json()) == ["id", "message"]
    message: str = answer.json()["message"]
    assert len(message) < 400
    return message


def post(client: TestClient, body: Any) -> Any:
    content = json.dumps(body)
    return client.post("/v2/embed", content=content, headers={"content-type": "application/json"})


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ([], 400, "the body is a list"),
        ({}, 400, "give one of `texts`, `images` and `inputs`"),
        ({"texts": []}, 400, "give one of"),
        ({"texts": ["a"], "images": [URI]}, 400, "give one of"),
        ({"texts": "a"}, 400, "texts is 'a'; it must be a list of strings"),
        ({"texts": ["a", 1]}, 400, "texts[1] is a number"),
        ({"texts": [["a"]]}, 400, "texts[0] is a list"),
        ({"texts": {"a": 1}}, 400, "texts is an object"),
        ({"images": [None]}, 400, "images[0] is null"),
        ({"images": ["no base64!"]}, 400, "images[0] is not valid base64"),
        (
            {"images": ["https://pictures.example/a"]},
            400,
            "images[0] is a URL, and none is fetched",
        ),
        ({"images": ["AAAA"]}, 415, "images[0] is not a picture"),
        ({"images": [URI[:300]]}, 400, "images[0] cannot be decoded"),
        ({"inputs": "a"}, 400, "inputs is 'a'"),
        ({"inputs": ["a"]}, 400, "inputs[0] is 'a'"),
        ({"inputs": [{}]}, 400, "inputs[0].content is null"),
        ({"inputs": [{"content": []}]}, 400, "inputs[0].content is empty"),
        ({"inputs": [{"content": ["a"]}]}, 400, "inputs[0].content[0] is 'a'"),
        ({"inputs": [{"content": [{"type": "x"}]}]}, 400, "inputs[0].content[0].type is 'x'"),
        ({"inputs": [{"content": [{"type": "text"}]}]}, 400, "inputs[0].content[0].text is null"),
        (
            {
                "inputs": [
                    {"content": [TEXT_PART, {"type": "image_url", "image_url": {"url": "!"}}]}
                ]
            },
            *(400, "inputs[0].content[1].image_url.url is not valid base64"),
        ),
        ({"texts": ["a"], "model": 1}, 400, "model is a number"),
        ({"texts": ["a"], "input_type": "poem"}, 400, "input_type is 'poem'"),
        ({"texts": ["a"], "embedding_types": "float"}, 400, "embedding_types is 'float'"),
        ({"texts": ["a"], "embedding_types": ["f16"]}, 400, "embedding_types[0] is 'f16'"),
        ({"texts": ["a"], "embedding_types": [1]}, 400, "embedding_types[0] is a number"),
        ({"texts": ["a"], "output_dimension": 65}, 400, "output_dimension must be from 1 to 64"),
        ({"texts": ["a"], "output_dimension": float("nan")}, 400, "output_dimension is a number"),
        ({"texts": ["a"], "truncate": "end"}, 400, "truncate is 'end'"),
        ({"texts": ["a"], "max_tokens": 20}, 400, "max_tokens must be at least 77"),
        ({"texts": ["a"], "max_tokens": "77"}, 400, "max_tokens is '77'"),
        (
            {"texts": ["red " * 80], "truncate": "NONE"},
            400,
            "texts[0] is longer than the model's 77",
        ),
        ({"texts": ["a" * 8193]}, 413, "texts[0] has 8193 characters; at most 8192"),
        ({"texts": ["a"] * 257}, 413, "257 items in one request; at most 256"),
    ],
)
def test_bad_requests(client: TestClient, body: Any, status: int, said: str) -> None:
    assert refusal(post(client, body), status).startswith(said)


def test_limits_and_routes_in_coheres_shape(client: TestClient, embedder: Embedder) -> None:
    assert "GET is not allowed" in refusal(client.get("/v2/embed"), 405)
    assert "there is no /v2/rerank" in refusal(client.post("/v2/rerank"), 404)
    with limited(embedder, max_response_bytes=4000) as small:
        fits = {"texts": ["\x00" * 10] * 3}
        assert len(post(small, fits).content) <= 4000
        assert "send at most" in refusal(post(small, {**fits, "embedding_types": TYPES}), 413)
        assert "send at most" in refusal(post(small, {"texts": ["\x00" * 1000]}), 413)
        assert "send at most 3 items" in refusal(post(small, {"images": [URI] * 5}), 413)
