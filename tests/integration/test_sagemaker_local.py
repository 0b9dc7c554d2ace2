"""A client's HTTPS request to the SageMaker stack, from end to end: SAM's own API Gateway of
infra/sagemaker.yaml, the proxy in AWS's emulator, SageMaker's wire format, the container.
"""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI
from pictures import picture
from sagemaker_peer import Peer, sagemaker
from sam_cli import ENVIRON, sam_python
from sam_servers import free_port, serving
from stage import BUCKET, Stage, environment, stage

from handler.embedder import Embedder
from handler.settings import Settings
from tools.docker_engine import ROOT
from tools.rie import INVOCATIONS, Rie


@pytest.fixture(scope="module")
def around(embedder: Embedder, settings: Settings) -> Iterator[Stage]:
    with stage(embedder, settings) as found:
        yield found


@pytest.fixture(scope="module")
def peer(around: Stage) -> Iterator[Peer]:
    with sagemaker(around.container, around.s3, BUCKET) as found:
        yield found


@pytest.fixture(scope="module")
def api(
    around: Stage, peer: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    port = free_port()
    script = Path(__file__).parent / "local_api.py"
    log = tmp_path_factory.mktemp("sagemaker") / "log"
    names = {"ENDPOINT": "openclip", "JOBS_ENDPOINT": "queue", "JOBS_BUCKET": BUCKET}
    with Rie("proxy.entry.handler", **environment(peer.url, around.aws), **names) as rie:
        template = ROOT / "infra" / "sagemaker.yaml"
        arguments = [str(script), str(template), str(port), rie.url + INVOCATIONS]
        with serving([sam_python(), *arguments], port, os.environ | ENVIRON, log) as (_, client):
            yield client


def test_texts_and_a_picture(api: httpx.Client, peer: Peer) -> None:
    image = base64.b64encode(picture()).decode()
    body = {"text": ["red circle", "blue square"], "image": image}
    found = api.post("/embeddings", json=body, headers={"x-request-id": "mine"})
    assert found.status_code == 200, found.text
    assert len(found.json()["embeddings"]) == 3
    assert found.headers["x-request-id"] == "mine"
    assert found.headers["x-embedding-space"] == found.json()["space"]


def test_a_raw_picture_keeps_its_bytes_and_its_query(api: httpx.Client, peer: Peer) -> None:
    data = picture(format_name="JPEG")
    headers = {"content-type": "image/jpeg"}
    found = api.post("/embeddings?normalize=true", content=data, headers=headers)
    assert found.status_code == 200, found.text
    assert found.json()["normalized"] is True
    assert peer.calls[-1][2] == len(data)


def test_an_official_client_through_all_of_it(api: httpx.Client) -> None:
    client = OpenAI(base_url=f"{api.base_url}/v1", api_key="none", max_retries=0)
    found = client.embeddings.create(model="any", input=["red circle", "blue square"])
    assert [len(row.embedding) for row in found.data] == [64, 64]
    client.close()


def test_a_refusal_arrives_with_its_status_and_shape(api: httpx.Client) -> None:
    found = api.post("/v1/embeddings", json={"input": [[1, 2]]})
    assert found.status_code == 400
    assert "check_embedding_ctx_length" in found.json()["error"]["message"]
    assert api.get("/nowhere").status_code == 404


def test_a_job(api: httpx.Client) -> None:
    accepted = api.post("/jobs?path=/vectorize", json={"texts": ["red"], "images": []})
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()["id"]
    assert api.get(f"/jobs/{job}").json()["status"] == "done"
    assert len(api.get(f"/jobs/{job}/result").json()["textVectors"]) == 1


def test_the_preflight_needs_no_proxy(api: httpx.Client) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    found = api.options("/embeddings", headers=asked)
    assert found.status_code == 200
    assert found.headers["access-control-allow-origin"] == "*"
