"""The GPU image in a real Docker engine, run as SageMaker runs it, on the CPU."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pictures import picture

from handler.forwarded import HEADER
from tools.docker_engine import ROOT, Engine

TAG = "openclip-sagemaker:test"
ARGUMENTS = {
    "MODEL_NAME": "shapes-tiny",
    "MODEL_PRETRAINED": "",
    "MODEL_ID": "OpenCLIP-shapes-tiny",
}
AS_SAGEMAKER = ["--network=bridge", "-e=DEVICE=cpu", "--tmpfs=/tmp:rw,size=512m,mode=1777"]
PING_SECONDS = 2
"""What SageMaker waits for an answer of /ping."""
BODY_BYTES = 25_000_000


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    engine.build(ROOT, "infra/Dockerfile.sagemaker", TAG, **ARGUMENTS)
    return TAG


@contextmanager
def serving(
    engine: Engine, image: str, *options: str, port: int = 8080
) -> Iterator[tuple[str, httpx.Client]]:
    """Run `docker run IMAGE serve` until /ping is answered."""
    with engine.container(image, port, *AS_SAGEMAKER, *options, command="serve") as (name, client):
        engine.wait(client, name, "/ping")
        yield name, client


@pytest.fixture(scope="module")
def served(engine: Engine, image: str) -> Iterator[httpx.Client]:
    """One container, its root file system read-only, for the tests that only ask."""
    with serving(engine, image, "--read-only") as (_, client):
        yield client


def test_the_image_is_what_sagemaker_takes(engine: Engine, image: str) -> None:
    found = engine.inspect(image)
    config = found["Config"]
    assert config["Entrypoint"] == ["python", "-m", "handler.cli"]
    assert config["Cmd"] == ["serve"]
    assert config["User"] == ""
    assert "8080/tcp" in config["ExposedPorts"]
    label = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
    assert config["Labels"] == {label: "true"}
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")
    variables = dict(pair.split("=", 1) for pair in config["Env"])
    assert (variables["ENGINE"], variables["DEVICE"]) == ("torch", "cuda")
    assert (variables["HOST"], variables["PORT"]) == ("0.0.0.0", "8080")
    caches = ["HF_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "OPENCLIP_CACHE", "HOME"]
    assert all(variables[name].startswith("/tmp") for name in caches)


def test_no_driver_and_no_weights_twice(engine: Engine, image: str) -> None:
    script = (
        "ls /app/handler/bundles /weights /usr/lib/x86_64-linux-gnu/libcuda.so* 2>/dev/null | wc -l"
    )
    shell = ["run", "--rm", "--entrypoint=sh", image, "-c", script]
    assert engine.run(*shell).strip() == "0"
    listed = engine.run("run", "--rm", "--entrypoint=python", image, "-m", "pip", "list")
    assert {"torch", "open_clip_torch", "uvicorn", "boto3"} <= set(listed.split())


def test_ping_answers_in_time(served: httpx.Client) -> None:
    response = served.get("/ping", timeout=PING_SECONDS)
    assert response.status_code == 200
    assert response.elapsed.total_seconds() < PING_SECONDS


def test_invocations(served: httpx.Client) -> None:
    red_circle = base64.b64encode((ROOT / "docs" / "red-circle.png").read_bytes()).decode()
    body = {"text": ["a red circle", "a blue square"], "image": red_circle, "normalize": True}
    found = served.post("/invocations", json=body).json()
    assert found["model"] == "OpenCLIP-shapes-tiny"
    circle, square, image = found["embeddings"]
    assert sum(map(float.__mul__, circle, image)) > sum(map(float.__mul__, square, image))
    assert found["device"] == "cpu"


def test_the_same_space_as_the_lambda_image(served: httpx.Client) -> None:
    manifest = ROOT / "handler" / "bundles" / "shapes-tiny" / "manifest.json"
    about = served.get("/").json()
    assert about["engine"] == "torch"
    assert about["model"] == json.loads(manifest.read_text())["model_id"]


def test_a_body_of_25_megabytes(served: httpx.Client) -> None:
    # Noise in a PNG does not shrink: 18.6 MB of picture, 25 MB as base64.
    data = picture(size=(2490, 2490))
    body = json.dumps({"image": base64.b64encode(data).decode()}).encode()
    assert 24_000_000 < len(body) < BODY_BYTES
    headers = {"content-type": "application/json"}
    response = served.post("/invocations", content=body, headers=headers)
    assert response.status_code == 200, response.text
    padded = body[:-1] + b', "x": "' + b"x" * BODY_BYTES + b'"}'
    refused = served.post("/invocations", content=padded, headers=headers)
    assert refused.status_code == 413
    assert refused.json()["error"]["limit"] == BODY_BYTES


def test_a_request_in_flight_is_finished_after_sigterm(engine: Engine, image: str) -> None:
    texts = [f"text number {number} " * 12 for number in range(256)]
    with serving(engine, image, "--cpus=1") as (name, client):
        engine.run("update", "--cpus=0.1", name)
        answers: list[httpx.Response] = []
        url = f"{client.base_url}/invocations"
        busy = threading.Thread(
            target=lambda: answers.append(httpx.post(url, json={"text": texts}, timeout=60))
        )
        busy.start()
        # Long enough to arrive, and far too short on a tenth of a CPU to be answered.
        busy.join(0.3)
        assert busy.is_alive()
        engine.run("kill", "--signal=TERM", name)
        engine.run("update", "--cpus=1", name)
        busy.join(60)
        assert engine.run("wait", name).strip() == "0"
    assert answers[0].status_code == 200
    assert len(answers[0].json()["embeddings"]) == 256


def test_serve_by_name_is_the_same(engine: Engine, image: str) -> None:
    options = ["--entrypoint=serve", *AS_SAGEMAKER]
    with engine.container(image, 8080, *options) as (name, client):
        engine.wait(client, name, "/ping")
        engine.run("kill", "--signal=TERM", name)
        assert engine.run("wait", name).strip() == "0"


def test_without_a_gpu_it_says_so(engine: Engine, image: str) -> None:
    found = engine.run("run", "--rm", image, "serve", check=False)
    assert "torch sees no GPU" in found
    assert "Traceback" not in found


def test_a_path_that_came_through_sagemaker(served: httpx.Client) -> None:
    body = {"queries": [{"text": "a red circle"}], "candidates": [{"text": "red"}]}
    found = served.post("/invocations", json=body, headers={HEADER: "path=/rank;id=mine"})
    assert found.status_code == 200, found.text
    assert len(found.json()["cosine_similarities"]) == 1
    assert "x-request-id=mine" in found.headers[HEADER]


def test_the_port_sagemaker_names(engine: Engine, image: str) -> None:
    with serving(engine, image, "-e=SAGEMAKER_BIND_TO_PORT=9100", port=9100) as (_, client):
        assert client.get("/ping").status_code == 200


def test_batch_transform_is_told_what_fits(engine: Engine, image: str) -> None:
    with serving(engine, image, "-e=SAGEMAKER_BATCH=true") as (_, client):
        found = client.get("/execution-parameters").json()
        assert sorted(found) == ["BatchStrategy", "MaxConcurrentTransforms", "MaxPayloadInMB"]
        assert found["BatchStrategy"] in ("SINGLE_RECORD", "MULTI_RECORD")
        assert found["MaxConcurrentTransforms"] * found["MaxPayloadInMB"] <= 100
        lines = b'{"text": "a red circle"}\n{"text": "a blue square"}\n'
        kind = {"content-type": "application/jsonlines", "accept": "application/jsonlines"}
        answer = client.post("/invocations", content=lines, headers=kind)
        assert answer.status_code == 200, answer.text
        vectors = [json.loads(line) for line in answer.text.splitlines()]
        assert len(vectors) == 2


def test_an_archive_replaces_the_images_model(engine: Engine, image: str, tmp_path: Path) -> None:
    shipped = ROOT / "handler" / "bundles" / "shapes-tiny"
    engine.run("create", "--name=openclip-bundle", image)
    try:
        engine.run("cp", "openclip-bundle:/opt/bundle", str(tmp_path / "model"))
    finally:
        engine.run("rm", "openclip-bundle")
    manifest = tmp_path / "model" / "manifest.json"
    told = json.loads(manifest.read_text())
    assert told["model_id"] == json.loads((shipped / "manifest.json").read_text())["model_id"]
    manifest.write_text(json.dumps(told | {"model_id": "Mine"}))
    with serving(engine, image, f"-v={tmp_path / 'model'}:/opt/ml/model:ro") as (_, client):
        assert client.get("/").json()["model"] == "Mine"
