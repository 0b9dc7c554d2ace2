"""The header that carries a request through SageMaker: read, written, and around the real app."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from handler.app import create_app
from handler.embedder import Embedder
from handler.forwarded import (
    HEADER,
    LIMIT,
    Forwarded,
    read_forwarded,
    write_returned,
)
from handler.frame import Record
from handler.routes import EMBEDDING_PATHS
from handler.sagemaker import add_sagemaker
from handler.settings import Settings
from tools.docker_engine import ROOT


@pytest.fixture
def endpoint(embedder: Embedder, settings: Settings, records: list[Record]) -> Iterator[TestClient]:
    """The app as the endpoint's container serves it."""
    app = create_app(lambda: embedder, settings, records.append)
    add_sagemaker(app, settings)
    with TestClient(app) as found:
        yield found


@pytest.mark.parametrize("path", [path for path in EMBEDDING_PATHS if path != "/invocations"])
def test_every_embedding_path_can_be_named(path: str) -> None:
    assert read_forwarded(f"path={path}") == Forwarded(path)


def test_all_four_are_read_in_any_order_and_unknown_ones_left_out() -> None:
    told = "id=a-1; later=9;query=a%3D%3Bb%26c;path=%2Fembed;accept=text/event-stream"
    assert read_forwarded(told) == Forwarded("/embed", "a=;b&c", "text/event-stream", "a-1")


@pytest.mark.parametrize(
    "told",
    [
        "",
        "c000b4f9-df62-4c85-a0bf-7c525f9104a4",
        "path",
        "path=",
        "path=/",
        "path=/health",
        "path=/invocations",
        "path=/embeddings/",
        "path=/embeddings/../health",
        "path=//embeddings",
        "Path=/embeddings",
        "path=/embeddings;query=a%0D%0Ab",
        "path=/embeddings;id=%00",
        "path=/embeddings;accept=%E2%82%AC",
        "path=/embeddings;query=" + "a" * LIMIT,
    ],
)
def test_what_is_not_ours_is_left_alone(told: str) -> None:
    assert read_forwarded(told) is None


@given(st.text())
def test_no_header_is_an_error(told: str) -> None:
    found = read_forwarded(told)
    assert found is None or found.path in EMBEDDING_PATHS


def test_what_returns_fits_and_says_only_what_is_ours() -> None:
    headers = [("content-type", "a/b"), ("x-request-id", "a;b"), ("x-embedding-space", "2a")]
    assert write_returned(headers) == "x-request-id=a%3Bb;x-embedding-space=2a"
    long = [("x-embedding-long", "a" * LIMIT), ("x-embedding-space", "2a")]
    assert write_returned(long) == "x-embedding-space=2a"
    assert write_returned([("content-type", "a/b")]) == ""


def test_the_app_answers_as_on_the_path_itself(endpoint: TestClient, records: list[Record]) -> None:
    told = "path=/rank;id=mine"
    body = {"queries": [{"text": "a red circle"}], "candidates": [{"text": "red"}]}
    found = endpoint.post("/invocations", json=body, headers={HEADER: told})
    direct = endpoint.post("/rank", json=body, headers={"x-request-id": "mine"})
    assert found.status_code == direct.status_code == 200
    assert found.json().keys() == direct.json().keys()
    assert found.headers["x-request-id"] == "mine"
    assert "x-request-id=mine" in found.headers[HEADER].split(";")
    assert HEADER not in direct.headers
    assert [record.path for record in records] == ["/rank", "/rank"]


def test_a_query_and_a_refusal_pass_too(endpoint: TestClient) -> None:
    told = "path=/embeddings;query=normalize%3Dtrue;accept=application/json"
    picture = (ROOT / "docs" / "red-circle.png").read_bytes()
    kind = {HEADER: told, "content-type": "image/png"}
    assert endpoint.post("/invocations", content=picture, headers=kind).json()["normalized"]
    refused = endpoint.post("/invocations", json={}, headers={HEADER: "path=/rank"})
    assert refused.status_code == 422
    assert "queries" in refused.json()["error"]["message"]


def test_without_the_header_the_bodys_shape_decides(endpoint: TestClient) -> None:
    found = endpoint.post("/invocations", json={"text": "red"}, headers={HEADER: "trace=9"})
    assert found.status_code == 200
    assert len(found.json()["embeddings"]) == 1
    assert found.headers[HEADER] == "trace=9"
