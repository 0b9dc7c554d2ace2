"""OpenAI's contract: the official SDK over HTTP, pictures in every form, and every refusal."""

import asyncio
import base64
import json
from typing import Any

import numpy as np
import pytest
from calls import PNG, PNG_64, embed, limited
from numpy.typing import NDArray
from openai import (
    APIStatusError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAI,
)
from pictures import picture
from starlette.testclient import TestClient

from handler.embedder import Embedder
from handler.items import Image, Options
from handler.schemas.documents_native import RED_PIXEL
from handler.vectors import normalize

URI = "data:image/png;base64," + PNG_64
OTHER = picture("L", (33, 50))
SMALL = "data:image/png;base64," + RED_PIXEL
OTHER_64 = base64.b64encode(OTHER).decode()
UNIT = Options(normalize=True)


def client(url: str, key: str = "any") -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def vectors(answer: Any) -> NDArray[np.float32]:
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return np.array([item.embedding for item in answer.data], np.float32)


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}, {"user": "u"}])
def test_the_sdk_gets_unit_vectors(url: str, embedder: Embedder, options: dict[str, Any]) -> None:
    texts = ["red circle", "", "blue square " * 40]
    with client(url) as openai:
        answer = openai.embeddings.create(model="text-embedding-3-small", input=texts, **options)
    expected = embed(embedder, texts, [], UNIT)
    assert np.allclose(vectors(answer), expected.vectors, atol=1e-5)
    assert answer.object == "list"
    assert answer.model == "OpenCLIP-shapes-tiny"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(expected.tokens)


def test_one_string_and_dimensions(url: str, embedder: Embedder) -> None:
    with client(url) as openai:
        answer = openai.embeddings.create(model="m", input="red circle", dimensions=16)
    expected = embed(embedder, ["red circle"], [], Options()).vectors[:, :16]
    assert np.allclose(vectors(answer), normalize(expected), atol=1e-5)


def test_the_async_sdk(url: str, embedder: Embedder) -> None:
    async def ask() -> Any:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as openai:
            return await asyncio.gather(
                *(openai.embeddings.create(model="m", input=text) for text in ("a", "b"))
            )

    found = np.concatenate([vectors(answer) for answer in asyncio.run(ask())])
    assert np.allclose(found, embed(embedder, ["a", "b"], [], UNIT).vectors, atol=1e-5)


def test_models(url: str) -> None:
    with client(url) as openai:
        assert [model.id for model in openai.models.list()] == ["OpenCLIP-shapes-tiny"]
        assert openai.models.retrieve("OpenCLIP-shapes-tiny").object == "model"
        with pytest.raises(NotFoundError, match="OpenCLIP-shapes-tiny") as caught:
            openai.models.retrieve("gpt-4/o")
    assert caught.value.code == "model_not_found"


def test_the_sdks_error_classes(url: str, locked_url: str) -> None:
    with client(url) as openai:
        with pytest.raises(BadRequestError, match="check_embedding_ctx_length=False") as caught:
            openai.embeddings.create(model="m", input=[[1, 2], [3]])
        assert (caught.value.param, caught.value.type) == ("input", "invalid_request_error")
        with pytest.raises(
            APIStatusError, match=r"at most 256; OpenAI's own limit of 2,048"
        ) as over:
            openai.embeddings.create(model="m", input=["a"] * 257)
        assert (over.value.status_code, over.value.code) == (413, "too_many_items")
    with client(locked_url, "wrong") as openai:
        with pytest.raises(AuthenticationError) as refused:
            openai.embeddings.create(model="m", input="a")
        assert refused.value.type == "authentication_error"
    with client(locked_url, "sesame") as openai:
        assert len(openai.embeddings.create(model="m", input="a").data) == 1


@pytest.mark.parametrize(
    ("texts", "body"),
    [
        ([], {"input": [URI, OTHER_64], "modality": "image"}),
        (["red circle"], {"input": ["red circle", URI, "data:image/png;base64," + OTHER_64]}),
        (
            ["red circle"],
            {"input": [{"text": "red circle"}, {"image": PNG_64}, {"image": OTHER_64}]},
        ),
        (["red circle"], {"input": ["red circle", {"image": URI}, {"image": OTHER_64}]}),
    ],
    ids=["infinity", "nvidia", "jina", "mixed"],
)
def test_pictures_among_the_inputs(
    url: str, embedder: Embedder, texts: list[str], body: dict[str, Any]
) -> None:
    with client(url) as openai:
        answer = openai.embeddings.create(model="m", input="", extra_body=body)
    expected = embed(embedder, texts, [Image(PNG), Image(OTHER)], UNIT).vectors
    assert np.allclose(vectors(answer), expected, atol=1e-5)


def test_a_text_that_only_starts_like_a_picture_is_a_text(url: str, embedder: Embedder) -> None:
    texts = ["data:image/png is how it starts", SMALL]
    with client(url) as openai:
        answer = openai.embeddings.create(model="m", input="", extra_body={"input": texts[:1]})
        told = openai.embeddings.create(
            model="m", input="", extra_body={"input": texts, "modality": "text"}
        )
    expected = embed(embedder, texts, [], UNIT).vectors
    assert np.allclose(vectors(answer), expected[:1], atol=1e-5)
    assert np.allclose(vectors(told), expected, atol=1e-5)


def message(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


TEXT_PART = {"type": "text", "text": "red circle"}
IMAGE_PART = {"type": "image_url", "image_url": {"url": URI}}


def test_messages_are_one_embedding(client: TestClient, embedder: Embedder) -> None:
    text, image = embed(embedder, ["red circle"], [Image(PNG)], UNIT).vectors
    both = normalize((text + image)[None])[0]
    for messages, expected in (
        ([message(IMAGE_PART)], image),
        ([{"role": "user", "content": "red circle"}], text),
        ([message(IMAGE_PART, TEXT_PART)], both),
        ([message(IMAGE_PART), message(TEXT_PART)], both),
    ):
        found = client.post("/v1/embeddings", json={"model": "m", "messages": messages}).json()
        assert len(found["data"]) == 1
        assert np.allclose(found["data"][0]["embedding"], expected, atol=1e-5)


def test_jinas_types_and_raw_vectors(client: TestClient, embedder: Embedder) -> None:
    raw = embed(embedder, ["red circle"], [], Options()).vectors[0]
    ask = {"input": [{"text": "red circle"}], "normalized": False, "encoding_format": "base64"}
    for kind, expected in (
        ("float", raw.tolist()),
        ("base64", base64.b64encode(raw.tobytes()).decode()),
        ("ubinary", np.packbits(raw > 0).tolist()),
        (["binary"], (np.packbits(raw > 0).astype(int) - 128).tolist()),
    ):
        answer = client.post("/v1/embeddings", json={**ask, "embedding_type": kind})
        found = answer.json()["data"][0]["embedding"]
        assert found == pytest.approx(expected) if kind == "float" else found == expected


def test_a_long_text_is_cut_and_told_or_refused(client: TestClient) -> None:
    long = "red circle " * 60
    for truncate in (None, True, "END"):
        answer = client.post("/v1/embeddings", json={"input": ["a", long], "truncate": truncate})
        assert answer.headers["x-embedding-truncated"] == "1"
    for truncate in (False, "NONE"):
        answer = client.post("/v1/embeddings", json={"input": ["a", long], "truncate": truncate})
        assert refusal(answer, 400, "text_too_long") == "input[1]"


def refusal(answer: Any, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    error = answer.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["code"] == code, error
    assert error["message"]
    assert len(error["message"]) < 400
    assert error["type"] == "invalid_request_error"
    return error["param"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": 3}, "input"),
        ({"input": True}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": ["a", None]}, "input[1]"),
        ({"input": [None]}, "input[0]"),
        ({"input": [True]}, "input[0]"),
        ({"input": [1.5]}, "input[0]"),
        ({"input": [["a"]]}, "input[0]"),
        ({"input": [{}]}, "input[0]"),
        ({"input": [{"text": "a", "image": PNG_64}]}, "input[0]"),
        ({"input": [{"text": 1}]}, "input[0].text"),
        ({"input": [{"image": None}]}, "input[0].image"),
        ({"input": "a", "model": 5}, "model"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "encoding_format": ["float"]}, "encoding_format"),
        ({"input": "a", "embedding_type": "int8"}, "embedding_type"),
        ({"input": "a", "embedding_type": ["float", "binary"]}, "embedding_type"),
        ({"input": "a", "embedding_type": [None]}, "embedding_type"),
        ({"input": "a", "dimensions": "64"}, "dimensions"),
        ({"input": "a", "dimensions": True}, "dimensions"),
        ({"input": "a", "dimensions": 1.5}, "dimensions"),
        ({"input": "a", "dimensions": float("nan")}, "dimensions"),
        ({"input": "a", "dimensions": float("inf")}, "dimensions"),
        ({"input": "a", "normalized": "yes"}, "normalized"),
        ({"input": "a", "modality": "audio"}, "modality"),
        ({"input": "a", "truncate": "START"}, "truncate"),
        ({"input": "a", "truncate": 1.0}, "truncate"),
        ({"messages": "a"}, "messages"),
        ({"messages": ["a"]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [message("a")]}, "messages[0].content[0]"),
        ({"messages": [message({"type": "audio"})]}, "messages[0].content[0].type"),
        ({"messages": [message({"type": ["text"]})]}, "messages[0].content[0].type"),
        ({"messages": [message({"type": "text"})]}, "messages[0].content[0].text"),
        ({"messages": [message({"type": "image_url"})]}, "messages[0].content[0].image_url"),
        (
            {"messages": [message(TEXT_PART, {"type": "image_url", "image_url": {"url": 7}})]},
            "messages[0].content[1].image_url.url",
        ),
    ],
)
def test_wrong_types_name_the_field(client: TestClient, body: dict[str, Any], param: str) -> None:
    assert refusal(post(client, body), 400, "wrong_type") == param


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"model": "m"}, 400, "nothing_to_embed", "input"),
        ({"input": None}, 400, "nothing_to_embed", "input"),
        ({"input": []}, 400, "nothing_to_embed", "input"),
        ({"messages": []}, 400, "nothing_to_embed", "messages"),
        ({"messages": [message()]}, 400, "nothing_to_embed", "messages[0].content"),
        ({"input": [1, 2, 3]}, 400, "token_ids_refused", "input"),
        ({"input": [[]]}, 400, "token_ids_refused", "input"),
        ({"input": "a", "messages": [message(TEXT_PART)]}, 400, "invalid_request", "messages"),
        (
            {"messages": [message(TEXT_PART, role="system")]},
            400,
            "invalid_request",
            "messages[0].role",
        ),
        ({"input": "a", "late_chunking": True}, 400, "invalid_request", "late_chunking"),
        ({"input": "a", "dimensions": 0}, 400, "invalid_request", "dimensions"),
        ({"input": "a", "dimensions": 65}, 400, "invalid_request", "dimensions"),
        ({"input": "a", "dimensions": 10**400}, 400, "invalid_request", "dimensions"),
        (
            {"messages": [message(TEXT_PART, IMAGE_PART)], "normalized": False},
            *(400, "invalid_request", "normalized"),
        ),
        ({"input": ["no base64!"], "modality": "image"}, 400, "invalid_base64", "input[0]"),
        ({"input": [URI[:300]]}, 400, "undecodable_image", "input[0]"),
        ({"input": ["data:image/png;base64,AAAA"]}, 415, "unsupported_media_type", "input[0]"),
        ({"input": [{"image": ""}]}, 400, "empty_image", "input[0].image"),
        ({"input": ["a", "b" * 8193]}, 413, "text_too_large", "input[1]"),
        ([], 400, "not_an_object", None),
    ],
)
def test_bad_requests(
    client: TestClient, body: Any, status: int, code: str, param: str | None
) -> None:
    assert refusal(post(client, body), status, code) == param


def test_limits_and_routes_in_openais_shape(client: TestClient, embedder: Embedder) -> None:
    assert refusal(client.get("/v1/embeddings"), 405, "method_not_allowed") is None
    assert refusal(client.get("/v1/nothing"), 404, "not_found") is None
    broken = client.post("/v1/embeddings", content=b"{", headers={"content-type": "text/plain"})
    assert refusal(broken, 400, "invalid_json") is None
    with limited(embedder, max_items=2) as small:
        assert refusal(post(small, {"input": ["a"] * 3}), 413, "too_many_items") == "input"
        many = {"messages": [message(TEXT_PART, TEXT_PART, TEXT_PART)]}
        assert refusal(post(small, many), 413, "too_many_items") == "messages"
    with limited(embedder, max_response_bytes=3000) as small:
        assert refusal(post(small, {"input": ["a"] * 3}), 413, "response_too_large") == "input"
        assert len(post(small, {"input": ["a"] * 2}).content) <= 3000


def post(client: TestClient, body: Any) -> Any:
    content = json.dumps(body)  # unlike httpx, it writes NaN and Infinity
    return client.post(
        "/v1/embeddings", content=content, headers={"content-type": "application/json"}
    )


def test_the_body_tells_the_contract_on_shared_paths(client: TestClient) -> None:
    for path in ("/embeddings", "/invocations"):
        assert client.post(path, json={"input": "a"}).json()["object"] == "list"
        assert refusal(client.post(path, json={"input": []}), 400, "nothing_to_embed") == "input"
        assert client.post(path, json={"messages": [message(TEXT_PART)]}).json()["data"]
