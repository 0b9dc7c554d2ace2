"""The native contract over HTTP: key for key, limit for limit, and never a 500."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from pictures import picture
from PIL import Image as PillowImage
from starlette.testclient import TestClient

from handler.app import create_app
from handler.embedder import Embedder, Image, Options
from handler.frame import Record
from handler.settings import Settings

PNG = picture()
PNG_64 = base64.b64encode(PNG).decode()
KEYS = ["model", "device", "embeddings", "duration", "space", "dim", "normalized", "truncated"]


def post(client: TestClient, body: object, **options: Any) -> Any:
    return client.post("/embeddings", json=body, **options)


def error(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    found: dict[str, Any] = response.json()["error"]
    assert sorted(found) == ["code", "field", "limit", "message"]
    assert found["code"] == code, found
    assert found["message"]
    return found


def limited(embedder: Embedder, **limits: int) -> TestClient:
    settings = embedder.settings.model_copy(update=limits)
    limited_embedder = Embedder(embedder.bundle, settings)
    return TestClient(create_app(lambda: limited_embedder, settings, lambda record: None))


def test_predecessors_request_gets_the_predecessors_answer(
    client: TestClient, embedder: Embedder
) -> None:
    found = post(client, {"text": "red circle", "image": PNG_64}).json()
    expected = embedder.embed(["red circle"], [Image(PNG, "image")], Options()).vectors
    assert list(found) == KEYS
    assert found["model"] == "OpenCLIP-shapes-tiny"
    assert found["device"] == "cpu"
    assert np.array_equal(np.array(found["embeddings"], np.float32), expected)
    assert 0 < found["duration"] < 60
    assert found["dim"] == expected.shape[1]
    assert found["normalized"] is False
    assert found["truncated"] == [False, False]


@pytest.mark.parametrize("absent", [{}, {"image": None}, {"image": []}])
def test_either_key_may_be_absent_or_null(client: TestClient, absent: dict[str, Any]) -> None:
    found = post(client, {"text": "red circle", **absent}).json()
    assert len(found["embeddings"]) == 1


def test_lists_keep_their_order_texts_first(client: TestClient) -> None:
    texts = ["red circle", "a", "blue square " * 20, "green star"]
    found = post(client, {"image": [PNG_64, PNG_64], "text": texts}).json()
    assert len(found["embeddings"]) == 6
    for index, text in enumerate(texts):
        alone = post(client, {"text": text}).json()["embeddings"][0]
        assert np.allclose(found["embeddings"][index], alone, atol=1e-5)
    assert found["embeddings"][4] == found["embeddings"][5]


def test_normalize_gives_unit_length(client: TestClient) -> None:
    found = post(client, {"text": "red circle", "image": PNG_64, "normalize": True}).json()
    assert np.allclose(np.linalg.norm(found["embeddings"], axis=1), 1, atol=1e-6)
    assert found["normalized"] is True


def test_a_text_over_the_context_is_cut_and_told(client: TestClient) -> None:
    long = "red circle " * 60
    found = post(client, {"text": ["red circle", long], "image": PNG_64}).json()
    assert found["truncated"] == [False, True, False]


def test_or_refused_on_request(client: TestClient) -> None:
    body = {"text": ["red circle", "red circle " * 60], "truncate": "none"}
    found = error(post(client, body), 422, "text_too_long")
    assert (found["field"], found["limit"]) == ("text[1]", 77)


def test_empty_and_odd_texts_are_texts(client: TestClient) -> None:
    texts = ["", " ", "\x00", "\u202e", "🏳️‍🌈", "\ufffd", "a" * 8192, "<end_of_text>"]
    assert len(post(client, {"text": texts}).json()["embeddings"]) == len(texts)


def test_options_lead_into_other_spaces(client: TestClient) -> None:
    spaces = {
        post(client, {"text": "a", **options}).json()["space"]
        for options in (
            {},
            {"decode": "fast"},
            {"orient": "exif"},
            {"decode": "fast", "orient": "exif"},
        )
    }
    assert len(spaces) == 4
    assert post(client, {"text": "a", "decode": "exact"}).json()["space"] in spaces


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
    for headers in ({"content-type": "image/png"}, {"content-encoding": "gzip"}):
        error(
            client.post("/embeddings", content=body, headers=headers),
            415,
            "unsupported_media_type",
        )


def test_routes_and_cors(client: TestClient) -> None:
    assert error(client.get("/nowhere"), 404, "not_found")
    assert error(client.get("/embeddings"), 405, "method_not_allowed")
    origin = {"origin": "https://shop.example"}
    assert client.get("/", headers=origin).headers["access-control-allow-origin"] == "*"
    bad = client.post("/embeddings", json={}, headers=origin)
    assert bad.headers["access-control-allow-origin"] == "*"
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-a"}
    preflight = client.options("/embeddings", headers=origin | asked)
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]


def test_index_and_health_say_which_model_answers(client: TestClient) -> None:
    index, health = client.get("/").json(), client.get("/health").json()
    assert index["status"] == "ready"
    assert health["status"] == "ok"
    for key in ("model", "space", "dim", "precision", "context_length", "image_size"):
        assert index[key] == health[key]
    assert health["space"] == post(client, {"text": "a"}).json()["space"]


def test_not_ready_is_a_503(settings: Settings) -> None:
    with TestClient(create_app(lambda: None, settings, lambda record: None)) as client:
        assert client.get("/").json()["status"] == "loading"
        error(client.get("/health"), 503, "not_ready")
        error(post(client, {"text": "a"}), 503, "not_ready")


def test_an_unexpected_failure_is_a_clean_500_with_its_id(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Embedder:
        raise ZeroDivisionError("secret detail")

    records: list[Record] = []
    with TestClient(create_app(broken, settings, records.append)) as client:
        found = client.get("/health", headers={"x-request-id": "abc-1"})
    assert "abc-1" in error(found, 500, "internal_error")["message"]
    assert "secret" not in found.text
    assert "secret detail" in caplog.text
    assert records[0].status == 500


def test_the_observer_sees_outcomes_and_no_content(
    client: TestClient, records: list[Record]
) -> None:
    post(client, {"text": ["secret", "b"], "image": PNG_64}, headers={"x-request-id": "r-1"})
    post(client, {"text": 5}, headers={"x-request-id": "bad id\t"})
    first, second = records
    assert (first.status, first.texts, first.images, first.request_id) == (200, 2, 1, "r-1")
    assert (second.status, second.code) == (422, "wrong_type")
    assert second.request_id != "bad id\t"
    assert "secret" not in repr(records)


def test_openapi_has_the_contract(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/embeddings"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert set(content["schema"]["properties"]) >= {"text", "image", "normalize", "truncate"}
    for example in content["examples"].values():
        assert post(client, example["value"]).status_code == 200
    assert sorted(operation["responses"]) == ["200", "400", "413", "415", "422", "500", "503"]
