"""OpenAI's contract: the official SDK over HTTP, pictures in every form, and every refusal."""

import asyncio
import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from calls import PNG, PNG_64, embed
from numpy.typing import NDArray
from openai import (
    APIStatusError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)
from pictures import picture
from starlette.testclient import TestClient
from test_server import server, wait_until_ready

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


def test_a_full_queue_is_the_sdks_rate_limit() -> None:
    texts = [f"text number {number} " * 12 for number in range(256)]
    start = threading.Barrier(12)

    def ask(openai: OpenAI) -> RateLimitError | None:
        start.wait()
        try:
            openai.embeddings.create(model="m", input=texts)
        except RateLimitError as error:
            return error
        return None

    with server(LOG_LEVEL="error", MAX_BATCH="1", MAX_QUEUE="1") as (_, http):
        wait_until_ready(http)
        with client(str(http.base_url).rstrip("/")) as openai, ThreadPoolExecutor(12) as pool:
            found = list(pool.map(ask, [openai] * 12))
    refused = [error for error in found if error]
    assert 0 < len(refused) < 12
    assert {(error.type, error.code) for error in refused} == {("rate_limit_error", "overloaded")}
    assert all(int(error.response.headers["retry-after"]) >= 1 for error in refused)


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
