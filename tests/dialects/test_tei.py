"""Text Embeddings Inference's contract: the Hugging Face client over HTTP, and every refusal."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from calls import embed, limited
from starlette.testclient import TestClient

from handler.app import create_app
from handler.embedder import Embedder
from handler.items import Options
from handler.settings import Settings
from handler.vectors import normalize

LONG = "red circle " * 60


CLIENT = """
import asyncio, json, sys
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError

model, token = sys.argv[1:]
client = InferenceClient(model=model, token=token)
answers = []
for request in json.load(sys.stdin):
    try:
        answers.append(client.feature_extraction(**request).tolist())
    except HfHubHTTPError as error:
        answers.append([error.response.status_code, error.response.json()["error_type"]])

async def ask():
    async with AsyncInferenceClient(model=model, token=token) as client:
        return (await client.feature_extraction("red circle")).tolist()

if len(answers) > 1:
    answers.append(asyncio.run(ask()))
json.dump(answers, sys.stdout)
"""


def ask(url: str, *requests: dict[str, Any], token: str = "any") -> list[Any]:
    """Run the client in a process of its own: in this one the tests have set HF_HUB_OFFLINE."""
    found = subprocess.run(
        [sys.executable, "-c", CLIENT, f"{url}/embed", token],
        input=json.dumps(requests),
        env={"PATH": os.environ["PATH"], "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answers: list[Any] = json.loads(found.stdout)
    return answers


def test_the_hugging_face_client(url: str, embedder: Embedder) -> None:
    one, two, raw, short, *refused, concurrent = ask(
        url,
        {"text": "red circle"},
        {"text": ["red circle", "a"]},
        {"text": "red circle", "normalize": False, "truncate": True},
        {"text": "red circle", "dimensions": 8},
        {"text": LONG, "truncate": False},
        {"text": "a", "prompt_name": "query"},
        {"text": []},
    )
    expected = embed(embedder, ["red circle", "a"], [], Options(normalize=True)).vectors
    assert np.allclose(one, expected[:1], atol=1e-5)
    assert np.allclose(concurrent, expected[:1], atol=1e-5)
    assert np.allclose(two, expected, atol=1e-5)
    plain = embed(embedder, ["red circle"], [], Options()).vectors
    assert np.allclose(raw, plain, atol=1e-4)
    assert np.allclose(short, normalize(plain[:, :8]), atol=1e-5)
    assert refused == [[422, "Validation"], [422, "Validation"], [400, "Empty"]]


def test_a_key_is_the_token(locked_url: str) -> None:
    assert len(ask(locked_url, {"text": "a"}, token="sesame")[0][0]) == 64
    assert ask(locked_url, {"text": "a"}, token="wrong") == [[401, "Validation"]]


@pytest.mark.parametrize("unit", [True, False])
def test_dimensions_with_and_without_unit_length(
    client: TestClient, embedder: Embedder, unit: bool
) -> None:
    body = {"inputs": ["red circle"], "dimensions": 5, "normalize": unit}
    expected = embed(embedder, ["red circle"], [], Options(unit, dimensions=5)).vectors
    assert np.allclose(client.post("/embed", json=body).json(), expected, atol=1e-5)


def test_texts_are_cut_unless_truncate_is_false(client: TestClient) -> None:
    for body in ({}, {"truncate": None}, {"truncate": True, "truncation_direction": "Right"}):
        answer = client.post("/embed", json={"inputs": LONG, **body})
        assert answer.headers["x-embedding-truncated"] == "1"


def test_info(client: TestClient) -> None:
    found = client.get("/info").json()
    assert found["model_id"] == found["served_model_name"] == "OpenCLIP-shapes-tiny"
    assert found["model_dtype"] == "float32"
    assert found["model_type"] == {"embedding": {"pooling": "last_token"}}
    assert found["max_input_length"] == 77
    assert found["max_client_batch_size"] == 256
    assert found["auto_truncate"] is True


def refusal(answer: Any, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error", "error_type"]
    assert answer.json()["error_type"] == kind
    message: str = answer.json()["error"]
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    ("body", "status", "kind", "said"),
    [
        ({}, 422, "Validation", "inputs is null"),
        ({"inputs": None}, 422, "Validation", "inputs is null"),
        ({"inputs": 1}, 422, "Validation", "inputs is a number"),
        ({"inputs": {"a": 1}}, 422, "Validation", "inputs is an object"),
        ({"inputs": ["a", 1]}, 422, "Validation", "inputs[1] is a number"),
        ({"inputs": [[1, 2]]}, 422, "Validation", "inputs[0] is a list"),
        ({"inputs": []}, 400, "Empty", "inputs is empty"),
        ({"inputs": "a", "truncate": "yes"}, 422, "Validation", "truncate is 'yes'"),
        ({"inputs": "a", "normalize": 0}, 422, "Validation", "normalize is a number"),
        ({"inputs": "a", "dimensions": 0}, 422, "Validation", "dimensions must be from 1 to 64"),
        ({"inputs": "a", "dimensions": []}, 422, "Validation", "dimensions is a list"),
        ({"inputs": "a", "prompt_name": 1}, 422, "Validation", "prompt_name is a number"),
        ({"inputs": "a", "prompt_name": "query"}, 422, "Validation", "prompt_name is set"),
        (
            {"inputs": "a", "truncation_direction": "left"},
            422,
            "Validation",
            "truncation_direction",
        ),
        ({"inputs": ["a", LONG], "truncate": False}, 422, "Validation", "inputs[1] is longer than"),
        ({"inputs": "a" * 8193}, 413, "Validation", "inputs has 8193 characters; at most 8192"),
        ({"inputs": ["a"] * 257}, 413, "Validation", "257 items in one request; at most 256"),
        (7, 422, "Validation", "the body is a number"),
    ],
)
def test_bad_requests(client: TestClient, body: Any, status: int, kind: str, said: str) -> None:
    assert refusal(client.post("/embed", json=body), status, kind).startswith(said)


def test_everything_else_in_teis_shape(
    client: TestClient, embedder: Embedder, settings: Settings
) -> None:
    broken = client.post("/embed", content=b"{", headers={"content-type": "application/json"})
    assert "not valid JSON" in refusal(broken, 422, "Validation")
    assert "not allowed" in refusal(client.put("/embed"), 405, "Validation")
    with limited(embedder, max_response_bytes=2000) as small:
        answer = small.post("/embed", json={"inputs": ["a"] * 2})
        assert "send at most 1 items" in refusal(answer, 413, "Validation")
    loading = TestClient(create_app(lambda: None, settings, lambda record: None))
    assert "still loading" in refusal(loading.post("/embed", json={}), 503, "Unhealthy")


def test_a_failure_of_ours_is_backend(settings: Settings) -> None:
    def broken() -> Embedder:
        raise RuntimeError("disk on fire")

    failing = TestClient(create_app(broken, settings, lambda record: None))
    message = refusal(failing.post("/embed", json={"inputs": "a"}), 424, "Backend")
    assert "disk on fire" not in message
