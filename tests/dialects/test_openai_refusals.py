"""What OpenAI's contract refuses, in OpenAI's error shape, with the fields named as sent."""

import json
from typing import Any

import pytest
from calls import PNG_64, limited
from starlette.testclient import TestClient

from handler.embedder import Embedder

URI = "data:image/png;base64," + PNG_64


def message(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


TEXT_PART = {"type": "text", "text": "red circle"}
IMAGE_PART = {"type": "image_url", "image_url": {"url": URI}}


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
        (
            {"input": ["https://pictures.example/a.png"], "modality": "image"},
            *(400, "image_url_refused", "input[0]"),
        ),
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
