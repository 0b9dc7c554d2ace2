"""Wrong, broken and oversized requests: the field and the limit are named, and nothing dies."""

import base64
import io
import json

import pytest
from calls import PNG, PNG_64, error, limited, post
from pictures import picture
from PIL import Image as PillowImage
from starlette.testclient import TestClient

from handler.embedder import Embedder


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "nothing_to_embed", "text"),
        ({"text": None, "image": None}, "nothing_to_embed", "text"),
        ({"text": []}, "nothing_to_embed", "text"),
        ({"text": 3}, "wrong_type", "text"),
        ({"text": True}, "wrong_type", "text"),
        ({"text": {"a": 1}}, "wrong_type", "text"),
        ({"text": ["a", 1e300]}, "wrong_type", "text[1]"),
        ({"text": ["a", None]}, "wrong_type", "text[1]"),
        ({"text": [["a"]]}, "wrong_type", "text[0]"),
        ({"text": "a", "normalize": "yes"}, "wrong_type", "normalize"),
        ({"text": "a", "normalize": 1}, "wrong_type", "normalize"),
        ({"text": "a", "truncate": "start"}, "wrong_type", "truncate"),
        ({"text": "a", "decode": ["fast"]}, "wrong_type", "decode"),
        ({"text": "a", "orient": 10**400}, "wrong_type", "orient"),
        ({"image": ""}, "empty_image", "image"),
        ({"image": "not base64!"}, "invalid_base64", "image"),
        ({"image": [PNG_64, "é"]}, "invalid_base64", "image[1]"),
        ({"image": "A"}, "invalid_base64", "image"),
        ({"image": base64.b64encode(PNG[:200]).decode()}, "undecodable_image", "image"),
        ([], "not_an_object", None),
        ("text", "not_an_object", None),
        (7, "not_an_object", None),
    ],
)
def test_wrong_requests_name_the_field(
    client: TestClient, body: object, code: str, field: str | None
) -> None:
    assert error(post(client, body), 422, code)["field"] == field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"text": "\\ud800"}',
        b'{"text": "a\x00"}',
        b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"text": "a"} trailing',
    ],
)
def test_what_is_not_json_is_a_400(client: TestClient, body: bytes) -> None:
    response = client.post(
        "/embeddings", content=body, headers={"content-type": "application/json"}
    )
    error(response, 400, "invalid_json")


def test_what_is_not_a_picture_is_a_415(client: TestClient) -> None:
    for data in (b"hello", b"%PDF-1.4", b"\x89PNG", b"<svg/>", b"\0" * 100):
        found = error(
            post(client, {"image": base64.b64encode(data).decode()}),
            415,
            "unsupported_media_type",
        )
        assert found["field"] == "image"


def test_a_broken_picture_leaves_the_worker_well(client: TestClient) -> None:
    jpeg = picture(format_name="JPEG", size=(300, 200))
    for cut in (len(jpeg) // 2, len(jpeg) - 2, 30):
        response = post(client, {"image": base64.b64encode(jpeg[:cut]).decode()})
        assert response.status_code in (415, 422)
    assert post(client, {"image": base64.b64encode(jpeg).decode()}).status_code == 200


def test_limits_name_themselves(embedder: Embedder) -> None:
    with limited(embedder, max_items=3) as client:
        found = error(post(client, {"text": ["a"] * 4}), 413, "too_many_items")
        assert found["limit"] == 3
    with limited(embedder, max_text_chars=10) as client:
        found = error(post(client, {"text": ["a", "b" * 11]}), 413, "text_too_large")
        assert (found["field"], found["limit"]) == ("text[1]", 10)
    with limited(embedder, max_pixels=4799) as client:
        found = error(post(client, {"image": PNG_64}), 413, "too_many_pixels")
        assert (found["field"], found["limit"]) == ("image", 4799)
    with limited(embedder, max_image_bytes=1024) as client:
        found = error(post(client, {"image": PNG_64}), 413, "image_too_large")
        assert (found["field"], found["limit"]) == ("image", 1024)
    with limited(embedder, max_body_bytes=2000) as client:
        found = error(post(client, {"text": "a" * 2000}), 413, "body_too_large")
        assert (found["field"], found["limit"]) == ("body", 2000)
        chunks = iter([b'{"text": "', b"a" * 1500, b"a" * 1500, b'"}'])
        error(client.post("/embeddings", content=chunks), 413, "body_too_large")
    with limited(embedder, max_response_bytes=4000) as client:
        assert error(post(client, {"text": ["a"] * 5}), 413, "response_too_large")["limit"] == 3
        assert len(post(client, {"text": ["a"] * 3}).content) <= 4000


def test_a_decompression_bomb_is_refused_by_its_header(client: TestClient) -> None:
    out = io.BytesIO()
    PillowImage.new("1", (9_000, 9_000)).save(out, "PNG")
    found = error(
        post(client, {"image": base64.b64encode(out.getvalue()).decode()}), 413, "too_many_pixels"
    )
    assert found["limit"] == 64_000_000


def test_body_types(client: TestClient) -> None:
    body = json.dumps({"text": "a"}).encode()
    for kind in ("application/json; charset=utf-8", "application/x-www-form-urlencoded", ""):
        headers = {"content-type": kind}
        assert client.post("/embeddings", content=body, headers=headers).status_code == 200
    for headers in ({"content-type": "video/mp4"}, {"content-encoding": "gzip"}):
        error(
            client.post("/embeddings", content=body, headers=headers),
            415,
            "unsupported_media_type",
        )
