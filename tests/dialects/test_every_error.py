"""Every error of the service in every contract's own shape, also where no contract has decoded."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient

from handler import errors
from handler.app import create_app
from handler.embedder import Embedder
from handler.schemas import cohere, native, openai, tei, titan, weaviate
from handler.settings import Settings

ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.ServiceError)
    and kind is not errors.ServiceError
]
SAME = {kind: kind.status for kind in ERRORS}
STATUSES: dict[ModuleType, dict[type, int]] = {
    native: SAME,
    openai: {**SAME, errors.InvalidRequest: 400},
    cohere: {**SAME, errors.InvalidRequest: 400},
    weaviate: SAME,
    tei: {**SAME, errors.MalformedBody: 422, errors.InternalError: 424},
    titan: {
        **SAME,
        errors.InvalidRequest: 400,
        errors.PayloadTooLarge: 400,
        errors.UnsupportedMedia: 400,
    },
}
KEYS = {
    native: ["error"],
    openai: ["error"],
    cohere: ["id", "message"],
    weaviate: ["error"],
    tei: ["error", "error_type"],
    titan: ["message"],
}
TYPES = {
    401: "authentication_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "server_error",
}


@pytest.mark.parametrize("contract", STATUSES, ids=lambda contract: contract.__name__[16:])
def test_every_error_has_its_status_and_shape(contract: Any) -> None:
    assert len(ERRORS) >= 11
    for kind in ERRORS:
        status, body = contract.refuse(kind("what is wrong", field="input[3]"))
        assert status == STATUSES[contract][kind], kind
        assert list(body) == KEYS[contract]
        told = body.get("message") or body["error"]
        assert "what is wrong" in (told if isinstance(told, str) else told["message"])
        if contract is openai:
            assert body["error"]["type"] == TYPES.get(status, "invalid_request_error")
            assert body["error"]["param"] == "input[3]"


PATHS = {
    "/v1/embeddings": openai,
    "/v2/embed": cohere,
    "/embed": tei,
    "/vectorize": weaviate,
    "/embeddings": native,
    "/invocations": native,  # the body, which is not read yet, would tell
}


def loading() -> None:
    return None


def broken() -> Embedder:
    raise RuntimeError("a secret of ours")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("model", "kind"), [(loading, errors.NotReady), (broken, errors.InternalError)]
)
def test_what_happens_before_a_contract_reads(
    settings: Settings, path: str, model: Callable[[], Embedder | None], kind: type
) -> None:
    client = TestClient(create_app(model, settings, lambda record: None))
    answer = client.post(path, json={})
    contract = PATHS[path]
    assert answer.status_code == STATUSES[contract][kind]
    assert list(answer.json()) == KEYS[contract]
    assert "a secret of ours" not in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_keys_methods_and_media(
    client: TestClient, embedder: Embedder, settings: Settings, path: str
) -> None:
    keyed = settings.model_validate({"model_name": "shapes-tiny", "api_key": "sesame"})
    locked = TestClient(create_app(lambda: embedder, keyed, lambda record: None))
    answers = {
        401: locked.post(path, json={}),
        404: client.post(path + "/nothing", json={}),
        405: client.delete(path),
        415: client.post(path, content=b"a", headers={"content-type": "video/mp4"}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        if status != 404 or path in ("/v1/embeddings", "/v2/embed", "/vectorize"):
            assert list(answer.json()) == KEYS[PATHS[path]]
    assert answers[401].headers["www-authenticate"] == "Bearer"
    assert answers[405].headers["allow"] == "POST"
