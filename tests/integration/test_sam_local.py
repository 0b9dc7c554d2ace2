"""The template's API in SAM's own API Gateway, from an HTTP request to the answer.

Once in front of the handler as a process, and once as a user would start it: `sam build`, then
`sam local start-api`, which runs the image that was built.
"""

import base64
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from calls import KEYS, embed, error
from pictures import picture
from sam_cli import ENVIRON, sam, sam_python
from sam_servers import PARAMETERS, environ_of, free_port, serving, start_api

from handler.embedder import Embedder
from handler.items import Image, Options
from tools.docker_engine import ROOT, Engine
from tools.rie import INVOCATIONS, Rie

EMULATOR_LIMIT = 6_291_556
"""Bytes of one event; the emulator cuts off the rest."""


@pytest.fixture(scope="module")
def built(engine: Engine, lambda_image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template `sam build` writes; its builder finds the layers of `lambda_image`."""
    folder = tmp_path_factory.mktemp("sam") / "build"
    result = subprocess.run(
        [sam(), "build", "--build-dir", folder, "--parameter-overrides", *PARAMETERS],
        cwd=ROOT,
        env=environ_of(engine),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    return folder / "template.yaml"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """SAM's API Gateway in front of the handler as a process."""
    port = free_port()
    script = Path(__file__).parent / "local_api.py"
    log = tmp_path_factory.mktemp("emulator") / "log"
    with Rie() as rie:
        url = rie.url + INVOCATIONS
        arguments = [str(script), str(ROOT / "template.yaml"), str(port), url]
        with serving([sam_python(), *arguments], port, os.environ | ENVIRON, log) as (_, client):
            yield client


@pytest.fixture(scope="module")
def start_api_client(
    engine: Engine, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """`sam local start-api` in front of the image that `sam build` made."""
    command, port = start_api(built)
    log = tmp_path_factory.mktemp("start-api") / "log"
    with serving(command, port, environ_of(engine), log) as (_, client):
        yield client


@pytest.fixture(scope="module", params=["emulator", "start_api_client"], ids=["process", "image"])
def api(request: pytest.FixtureRequest) -> httpx.Client:
    found: httpx.Client = request.getfixturevalue(request.param)
    return found


def answer(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    assert list(found) == KEYS
    return found


def same(found: object, embedder: Embedder, texts: list[str], pictures: list[bytes]) -> bool:
    """Tell whether these are the vectors; other processes run with other thread counts."""
    images = [Image(data, "image") for data in pictures]
    expected = embed(embedder, texts, images, Options()).vectors
    return np.allclose(np.array(found, np.float32), expected, atol=1e-5)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def large_jpeg() -> bytes:
    data = picture(size=(1850, 1250), format_name="JPEG", quality=90)
    assert 1_900_000 < len(data) < 2_200_000
    return data


def test_texts_and_pictures_in_order(api: httpx.Client, embedder: Embedder) -> None:
    texts, data = ["a red circle", "ein blaues Quadrat, größer"], picture()
    sent = {"text": texts, "image": [base64_of(data)] * 2}
    found = answer(api.post("/embeddings", json=sent))
    assert found["model"] == "OpenCLIP-shapes-tiny"
    assert same(found["embeddings"], embedder, texts, [data] * 2)


# What curl and a browser's fetch say when nobody names a type, and nothing at all.
@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain; charset=utf-8", None]
)
def test_json_under_another_name(api: httpx.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer(api.post("/embeddings", content=b'{"text": "a red circle"}', headers=headers))


def test_a_large_picture_in_json(api: httpx.Client, embedder: Embedder) -> None:
    data = large_jpeg()
    found = answer(api.post("/embeddings", json={"image": base64_of(data)}))
    assert same(found["embeddings"], embedder, [], [data])


def test_a_picture_as_the_body(api: httpx.Client, embedder: Embedder) -> None:
    data = large_jpeg()
    headers = {"content-type": "image/jpeg"}
    found = answer(api.post("/embeddings", content=data, headers=headers))
    assert same(found["embeddings"], embedder, [], [data])
    query = {"normalize": "true"}
    found = answer(api.post("/embeddings", params=query, content=data, headers=headers))
    assert found["normalized"] is True
    assert np.linalg.norm(found["embeddings"][0]) == pytest.approx(1, abs=1e-5)


def test_another_binary_body_is_refused_by_the_app(api: httpx.Client) -> None:
    headers = {"content-type": "application/octet-stream"}
    response = api.post("/embeddings", content=picture(), headers=headers)
    error(response, 415, "unsupported_media_type")


def test_a_body_between_our_limit_and_lambdas_is_told_so(api: httpx.Client) -> None:
    content = json.dumps({"text": "a" * 6_100_000})
    assert 6_000_000 < len(content) < EMULATOR_LIMIT
    headers = {"content-type": "application/json"}
    response = api.post("/embeddings", content=content, headers=headers)
    assert error(response, 413, "body_too_large")["limit"] == 6_000_000


def test_the_emulator_alone_cuts_off_a_larger_body_and_sam_answers_502(api: httpx.Client) -> None:
    # Not what AWS does: there the platform answers 413 itself, and the template's GatewayResponses
    # give that answer the app's shape, which SAM does not read.
    response = api.post("/embeddings", json={"text": "a" * 7_000_000})
    assert response.status_code == 502
    assert response.json() == {"message": "Internal server error"}
    answer(api.post("/embeddings", json={"text": "still there"}))


def test_what_is_not_there_is_told_in_the_apps_shape(api: httpx.Client) -> None:
    error(api.post("/nothing/here", json={"text": "a"}), 404, "not_found")
    error(api.delete("/embeddings"), 405, "method_not_allowed")
    error(api.post("/embeddings", content=b"{", headers={"content-type": ""}), 400, "invalid_json")


def test_index_and_health(api: httpx.Client, embedder: Embedder) -> None:
    found = api.get("/health")
    assert found.status_code == 200
    assert found.json()["status"] == "ok"
    assert found.json()["space"] == embedder.default_space
    index = api.get("/").json()
    assert index["status"] == "ready"
    assert index["model"] == "OpenCLIP-shapes-tiny"


def test_docs_and_what_they_load(api: httpx.Client) -> None:
    page = api.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    link = re.search(r"url: '(.+)'", page.text)
    assert link
    assert "/embeddings" in api.get(link[1]).json()["paths"]


def test_a_browsers_preflight_is_answered_by_the_api(api: httpx.Client) -> None:
    asks = {
        "origin": "https://example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-api-key",
    }
    response = api.options("/embeddings", headers=asks)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == "GET,HEAD,OPTIONS,POST"
    allowed = response.headers["access-control-allow-headers"].split(",")
    assert {"content-type", "x-api-key", "x-request-id"} <= set(allowed)
    assert response.headers["access-control-max-age"] == "600"
    assert "x-request-id" not in response.headers  # no function was asked
    response = api.post("/embeddings", json={"text": "a"}, headers={"origin": asks["origin"]})
    assert response.headers.get_list("access-control-allow-origin") == ["*"]


def test_many_requests_at_once_get_each_their_own_answer(api: httpx.Client) -> None:
    def ask(number: int) -> tuple[str, object]:
        sent = {"text": ["circle"] * number}
        response = api.post("/embeddings", json=sent, headers={"x-request-id": f"ask-{number}"})
        return response.headers["x-request-id"], len(answer(response)["embeddings"])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(1, 13)))
    assert found == [(f"ask-{number}", number) for number in range(1, 13)]


def test_start_api_runs_one_limited_container_and_leaves_none(
    engine: Engine, built: Path, tmp_path: Path
) -> None:
    def containers() -> set[str]:
        return set(engine.run("ps", "-a", "-q", "--no-trunc").split())

    before = containers()
    command, port = start_api(built)
    with serving(command, port, environ_of(engine), tmp_path / "log") as (process, client):
        answer(client.post("/embeddings", json={"text": "a"}))
        started = containers() - before
        assert len(started) == 1
        answer(client.post("/embeddings", json={"text": "b"}))
        assert containers() - before == started
        name = started.pop()
        assert engine.inspect(name)["HostConfig"]["Memory"] == 3008 << 20
        assert engine.run("logs", name).count('"message":"init"') == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert name not in containers()
