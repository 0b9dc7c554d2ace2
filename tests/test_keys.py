"""The optional bearer key: asked for where vectors are, not where a load balancer looks."""

from collections.abc import Iterator

import pytest
from calls import error, post
from pydantic import SecretStr
from starlette.testclient import TestClient

from handler.app import create_app
from handler.embedder import Embedder
from handler.frame import Record
from handler.settings import Settings, load_settings

KEY = "sésame-1"


@pytest.fixture
def locked(embedder: Embedder, settings: Settings, records: list[Record]) -> Iterator[TestClient]:
    keyed = settings.model_copy(update={"api_key": SecretStr(KEY)})
    with TestClient(create_app(lambda: embedder, keyed, records.append)) as found:
        yield found


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic x", f"Bearer {KEY}x", KEY]
)
def test_without_the_key_there_is_a_401(
    locked: TestClient, records: list[Record], value: str
) -> None:
    headers = {b"authorization": value.encode()} if value else {}
    for path in ("/embeddings", "/rank", "/nowhere"):
        found = locked.post(path, json={"text": "a"}, headers=headers)
        assert error(found, 401, "unauthorized")["field"] == "authorization"
        assert found.headers["www-authenticate"] == "Bearer"
        assert KEY not in found.text
    assert [record.status for record in records] == [401] * 3


def test_with_it_there_are_vectors(locked: TestClient) -> None:
    for scheme in ("Bearer", "bearer"):
        headers = {b"authorization": f"{scheme} {KEY}".encode()}
        assert post(locked, {"text": "a"}, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/health", "/ping", "/docs", "/.well-known/ready"])
def test_health_and_documentation_are_open(locked: TestClient, path: str) -> None:
    assert locked.get(path).status_code in (200, 204)


def test_browsers_may_ask_first(locked: TestClient) -> None:
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert locked.options("/embeddings", headers=asked).status_code == 200


def test_the_key_is_not_in_what_is_printed() -> None:
    settings = load_settings({"API_KEY": KEY, "MODEL_NAME": "shapes-tiny"})
    assert settings.api_key.get_secret_value() == KEY
    assert KEY not in repr(settings) + settings.model_dump_json()
