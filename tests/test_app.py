"""The native contract over HTTP: key for key, limit for limit, and never a 500."""

from typing import Any

import numpy as np
import pytest
from calls import KEYS, PNG, PNG_64, embed, error, limited, post
from starlette.testclient import TestClient

from handler.app import create_app
from handler.embedder import Embedder
from handler.frame import Record
from handler.items import Image, Options
from handler.settings import Settings


def test_predecessors_request_gets_the_predecessors_answer(
    client: TestClient, embedder: Embedder
) -> None:
    found = post(client, {"text": "red circle", "image": PNG_64}).json()
    expected = embed(embedder, ["red circle"], [Image(PNG, "image")], Options()).vectors
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


def test_a_body_that_is_a_picture(client: TestClient, embedder: Embedder) -> None:
    def send(data: bytes, query: str = "") -> Any:
        headers = {"content-type": "image/png"}
        return client.post(f"/embeddings{query}", content=data, headers=headers)

    expected = embed(embedder, [], [Image(PNG, "body")], Options(normalize=True)).vectors
    found = send(PNG, "?normalize=true").json()
    assert np.array_equal(np.array(found["embeddings"], np.float32), expected)
    assert error(send(b""), 422, "empty_image")["field"] == "body"
    assert error(send(b"hello"), 415, "unsupported_media_type")["field"] == "body"
    assert error(send(PNG, "?normalize=1"), 422, "wrong_type")["field"] == "normalize"
    assert error(send(PNG, "?decode=slow"), 422, "wrong_type")["field"] == "decode"
    with limited(embedder, max_image_bytes=1024) as small:
        headers = {"content-type": "image/png"}
        error(small.post("/embeddings", content=PNG, headers=headers), 413, "image_too_large")


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
    assert client.head("/health").status_code == client.head("/").status_code == 200
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
    fields = {name for form in content["schema"]["anyOf"] for name in form["properties"]}
    assert fields >= {"text", "image", "items", "normalize", "dimensions", "errors"}
    for example in content["examples"].values():
        assert post(client, example["value"]).status_code == 200
    assert set(operation["responses"]) >= {"200", "400", "413", "415", "422", "500", "503"}
