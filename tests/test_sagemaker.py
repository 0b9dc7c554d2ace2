"""The server as SageMaker's container contract wants it, over HTTP, in a process of its own."""

import base64
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import picture
from starlette.testclient import TestClient
from test_server import free_port, run_and_fail, server, wait_until_ready

from handler.app import create_app
from handler.bundle import Bundle
from handler.call import Call
from handler.embedder import Embedder
from handler.engines import Engine, load_engine
from handler.locate import SHIPPED
from handler.settings import Settings
from tools.docker_engine import ROOT

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
PNG_64 = base64.b64encode(picture()).decode()
TEXTS = [f"{n}: " + "a photograph of a red circle beside a blue square " * 6 for n in range(256)]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with server(LOG_LEVEL="error", MAX_ITEMS="256") as (_, found):
        wait_until_ready(found)
        yield found


def invoke(client: httpx.Client, body: object, kind: str = "application/json") -> httpx.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/invocations", content=data, headers={"content-type": kind})


def vector(client: httpx.Client, **item: str) -> list[float]:
    found: list[float] = client.post("/embeddings", json=item).json()["embeddings"][0]
    return found


def close(one: Any, other: Any) -> bool:
    return bool(np.allclose(np.array(one), np.array(other), rtol=0, atol=2e-5))


def test_one_path_takes_every_body(client: httpx.Client) -> None:
    text, image = vector(client, text="red circle"), vector(client, image=PNG_64)
    native = invoke(client, {"text": "red circle", "image": PNG_64}).json()
    assert close(native["embeddings"], [text, image])
    raw = invoke(client, picture(), "image/png").json()
    assert close(raw["embeddings"], [image])
    openai = invoke(client, {"input": "red circle", "model": "m", "encoding_format": "float"})
    unit = np.array(text) / np.linalg.norm(text)
    assert close(openai.json()["data"][0]["embedding"], unit)
    titan = invoke(client, {"inputText": "red circle"}).json()
    assert close(titan["embedding"], unit)
    found = client.post(
        "/invocations", json={"text": ["red circle"]}, headers={"accept": "application/x-npy"}
    )
    assert close(np.load(BytesIO(found.content)), [text])


@pytest.mark.parametrize(
    "kind", ["application/jsonlines", "application/x-jsonlines", "application/jsonl; charset=utf-8"]
)
def test_lines_are_answered_in_their_order(client: httpx.Client, kind: str) -> None:
    lines = [
        {"text": "red circle"},
        {"image": PNG_64, "text": "a star", "normalize": True},
        {"inputText": "red circle"},
        {"input": ["a star", "red circle"], "encoding_format": "float"},
        {"text": "red circle", "dimensions": 8},
    ]
    answer = invoke(client, "\n".join(map(json.dumps, lines)).encode() + b"\n", kind)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jsonlines"
    found = [json.loads(line) for line in answer.content.splitlines()]
    red, star = vector(client, text="red circle"), vector(client, text="a star")
    assert len(found) == 5
    assert close(found[0]["embeddings"], [red])
    assert close(found[1]["embeddings"][0], np.array(star) / np.linalg.norm(star))
    assert len(found[1]["embeddings"]) == 2
    assert close(found[2]["embedding"], np.array(red) / np.linalg.norm(red))
    assert [each["index"] for each in found[3]["data"]] == [0, 1]
    assert close(found[3]["data"][1]["embedding"], np.array(red) / np.linalg.norm(red))
    assert close(found[4]["embeddings"], [red[:8]])


def test_a_bad_line_fails_alone(client: httpx.Client) -> None:
    lines = [
        b'{"text": "red circle"}',
        b'{"text": "red cir',
        b'{"image": "bm8gcGljdHVyZQ=="}',
        b"",
        b'{"text": ["fine", 7]}\r',
        b'{"text": "a", "image": "bm8gcGljdHVyZQ==", "errors": "item"}',
        b'{"inputText": 7}',
        b'{"text": "' + b"long " * 200 + b'", "truncate": "none"}',
        b'{"text": "a star"}',
    ]
    answer = invoke(client, b"\n".join(lines), "application/jsonlines")
    assert answer.status_code == 200
    found = [json.loads(line) for line in answer.content.splitlines()]
    codes = [line.get("error", {}).get("code") for line in found]
    assert codes == [
        *(None, "invalid_json", "unsupported_media_type", "invalid_json", "wrong_type"),
        *(None, None, "text_too_long", None),
    ]
    assert answer.headers["x-embedding-failed"] == "6"
    assert close(found[0]["embeddings"][0], vector(client, text="red circle"))
    assert [e is None for e in found[5]["embeddings"]] == [False, True]
    assert found[5]["errors"][0]["index"] == 1
    assert "inputText" in found[6]["message"]
    assert close(found[8]["embeddings"][0], vector(client, text="a star"))


def test_lines_share_runs_of_the_engine(client: httpx.Client) -> None:
    def runs() -> float:
        metrics = client.get("/metrics").text.splitlines()
        counts = [m for m in metrics if m.startswith('openclip_batch_rows_count{tower="text"}')]
        return float(counts[0].rpartition(" ")[2])

    before = runs()
    body = "\n".join(json.dumps({"text": text}) for text in TEXTS)
    answer = invoke(client, body.encode(), "application/jsonlines")
    assert len(answer.content.splitlines()) == len(TEXTS)
    assert runs() - before == len(TEXTS) / 16


def test_lines_beyond_the_limits(client: httpx.Client) -> None:
    nothing = invoke(client, b"\n", "application/jsonlines")
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (422, "nothing_to_embed")
    with server(MAX_RESPONSE_BYTES="20000") as (_, small):
        wait_until_ready(small)
        body = "\n".join(json.dumps({"text": text}) for text in TEXTS)
        refused = invoke(small, body.encode(), "application/jsonlines")
        assert refused.status_code == 413
        assert refused.json()["error"]["code"] == "response_too_large"
        assert refused.json()["error"]["limit"] == 20000


def test_custom_attributes_come_back(client: httpx.Client) -> None:
    def returned(attributes: str) -> str | None:
        headers = [(ATTRIBUTES.encode(), attributes.encode("latin-1"))]
        answer = client.post("/invocations", json={"text": "a"}, headers=headers)
        assert answer.status_code == 200
        found: str | None = answer.headers.get(ATTRIBUTES)
        return found

    assert returned("trace=7;tenant=a b") == "trace=7;tenant=a b"
    assert returned("x" * 1024) == "x" * 1024
    assert returned("x" * 1025) is None
    assert returned("é") is None
    refused = client.post("/invocations", json={}, headers={ATTRIBUTES: "trace=8"})
    assert (refused.status_code, refused.headers[ATTRIBUTES]) == (422, "trace=8")


def test_execution_parameters(client: httpx.Client) -> None:
    assert client.get("/execution-parameters").json() == {
        "MaxConcurrentTransforms": 16,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": 6,
    }


def test_a_body_of_25_mb_is_taken(client: httpx.Client) -> None:
    rng = np.random.default_rng(0)
    from PIL import Image

    out = BytesIO()
    noise = rng.integers(0, 256, (2480, 2500, 3), np.uint8)
    Image.fromarray(noise).save(out, "PNG", compress_level=0)
    assert out.tell() > 18_500_000
    body = json.dumps({"image": base64.b64encode(out.getvalue()).decode()}).encode()
    assert 24_700_000 < len(body) < 25_000_000
    assert invoke(client, body).status_code == 200
    assert invoke(client, body + b" " * 400_000).status_code == 413


def test_ping_answers_quickly_whatever_is_going_on(client: httpx.Client) -> None:
    stop = threading.Event()
    statuses: set[int] = set()

    def hammer() -> None:
        while not stop.is_set():
            answer = client.post("/invocations", json={"text": TEXTS[:64]}, timeout=60)
            statuses.add(answer.status_code)

    slowest = 0.0
    with (
        ThreadPoolExecutor(64) as pool,
        httpx.Client(base_url=client.base_url, timeout=10) as other,
    ):
        clients = [pool.submit(hammer) for _ in range(64)]
        try:
            for _ in range(30):
                started = time.monotonic()
                assert other.get("/ping").status_code == 200
                slowest = max(slowest, time.monotonic() - started)
        finally:
            stop.set()
        for each in clients:
            each.result()
    assert slowest < 2
    assert statuses <= {200, 429}
    assert 200 in statuses


class Fragile:
    """A real engine that can be broken and mended."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.device, self.image_batch = engine.device, engine.image_batch
        self.broken = False

    def encode_text(self, tokens: NDArray[np.int64], call: Call) -> NDArray[np.float32]:
        if self.broken:
            raise RuntimeError("the device is lost")
        return self.engine.encode_text(tokens, call)

    def encode_image(self, pixel_values: NDArray[np.float32], call: Call) -> NDArray[np.float32]:
        return self.engine.encode_image(pixel_values, call)


def test_ping_fails_with_the_engine_and_recovers_with_it(
    bundle: Bundle, settings: Settings
) -> None:
    batching = settings.model_copy(update={"max_batch": 8})
    engine = Fragile(load_engine(bundle, batching, 1))
    fragile = Embedder(bundle, batching, engine)
    with TestClient(create_app(lambda: fragile, batching, lambda record: None)) as client:
        assert client.get("/ping").status_code == 200
        engine.broken = True
        assert client.get("/ping").status_code == 200  # nobody has met it yet
        assert client.post("/embeddings", json={"text": "a"}).status_code == 500
        for _ in range(2):
            ill = client.get("/ping")
            assert ill.status_code == 503
            assert "the engine does not answer: the text tower" in ill.json()["error"]["message"]
            assert "lost" not in ill.text
        engine.broken = False
        assert client.get("/ping").status_code == 200
        assert client.post("/embeddings", json={"text": "a"}).status_code == 200
    fragile.close()


def test_batch_transform_has_larger_limits_and_no_deadline() -> None:
    with server(SAGEMAKER_BATCH="true", REQUEST_SECONDS="0.001") as (_, client):
        wait_until_ready(client)
        body = json.dumps({"text": "a"}).encode()
        assert invoke(client, body + b" " * 30_000_000).status_code == 200
        refused = invoke(client, body + b" " * 105_000_000)
        assert (refused.status_code, refused.json()["error"]["limit"]) == (413, 104_857_600)


def test_the_platforms_port_comes_before_ours() -> None:
    port = free_port()
    with (
        server(SAGEMAKER_BIND_TO_PORT=str(port)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_until_ready(client)
        assert client.get("/ping").status_code == 200


def read_only(folder: Path) -> Path:
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    return folder


def test_the_model_folder_may_hold_a_bundle(tmp_path: Path) -> None:
    folder = read_only(Path(shutil.copytree(SHIPPED, tmp_path / "model")))
    with server(MODEL_DIR=str(folder), MODEL_NAME="ViT-B-32") as (_, client):
        wait_until_ready(client)
        assert client.get("/health").json()["model"] == "OpenCLIP-shapes-tiny"


def test_the_model_folder_may_hold_a_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        shutil.copy(ROOT / "models" / "shapes-tiny" / name, folder)
    read_only(folder)
    names = {"MODEL_DIR": str(folder), "OPENCLIP_CACHE": str(tmp_path / "cache"), "MODEL_ID": "m"}
    names["LOG_LEVEL"] = "error"  # or a pipe nobody reads fills up with questions for /health
    before = sorted(folder.iterdir())
    spaces = []
    for _ in range(2):  # the second start finds what the first one baked
        with server(**names) as (_, client):
            wait_until_ready(client, 240)
            health = client.get("/health").json()
            assert health["model"] == "m"
            spaces.append(health["space"])
            assert invoke(client, {"text": "red circle"}).status_code == 200
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert len(set(spaces)) == 1
    assert sorted(folder.iterdir()) == before


def test_an_empty_model_folder_leaves_the_baked_bundle(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with server(MODEL_DIR=str(folder), BUNDLE_DIR=str(SHIPPED)) as (_, client):
            wait_until_ready(client)
            assert client.get("/health").json()["model"] == "OpenCLIP-shapes-tiny"


def test_a_model_folder_with_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights.onnx").write_bytes(b"")
    told = run_and_fail(MODEL_DIR=str(tmp_path))
    assert "holds neither a bundle (manifest.json) nor an open_clip checkpoint" in told
    assert str(tmp_path) in told


def test_sigterm_in_the_middle_of_lines() -> None:
    with server(MAX_BATCH="16") as (process, client):
        wait_until_ready(client)
        body = "\n".join(json.dumps({"text": text}) for text in TEXTS)
        answers: list[httpx.Response] = []
        busy = threading.Thread(
            target=lambda: answers.append(invoke(client, body.encode(), "application/jsonlines"))
        )
        busy.start()
        busy.join(0.1)
        os.kill(process.pid, signal.SIGTERM)
        busy.join(30)
        process.communicate(timeout=30)
    assert answers[0].status_code == 200
    assert len(answers[0].content.splitlines()) == len(TEXTS)
    assert process.returncode == 0
