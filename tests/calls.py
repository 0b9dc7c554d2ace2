"""How the app's tests call it and read its errors."""

import base64
from collections.abc import Sequence
from typing import Any

from pictures import picture
from starlette.testclient import TestClient

from handler.app import create_app
from handler.embedder import Embedder, Embeddings
from handler.items import Image, Item, Options, Text

PNG = picture()
PNG_64 = base64.b64encode(PNG).decode()
KEYS = [
    *("model", "device", "embeddings", "duration"),  # the predecessor's
    *("space", "dim", "normalized", "truncated", "tokens"),
]


def embed(
    embedder: Embedder, texts: Sequence[str], images: Sequence[Image], options: Options
) -> Embeddings:
    """Embed texts, then images."""
    items: list[Item] = [Text(text, f"text[{at}]") for at, text in enumerate(texts)]
    return embedder.embed([*items, *images], options)


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


def limited(embedder: Embedder, **limits: object) -> TestClient:
    settings = embedder.settings.model_copy(update=limits)
    limited_embedder = Embedder(embedder.bundle, settings)
    return TestClient(create_app(lambda: limited_embedder, settings, lambda record: None))
