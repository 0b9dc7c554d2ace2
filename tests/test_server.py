"""The real server process: ready when it says so, and says why when it cannot start."""

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pictures import picture


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(port: int, **variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    return kept | {"PORT": str(port), "MODEL_NAME": "shapes-tiny"} | variables


@contextmanager
def server(**variables: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "handler.cli", "serve"],
        env=environment(port, **variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(client: httpx.Client, seconds: float = 60) -> list[int]:
    """Return the statuses /health gave, the last of them 200."""
    seen: list[int] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            seen.append(client.get("/health").status_code)
        except httpx.ConnectError:
            seen.append(0)
        if seen[-1] == 200:
            return seen
        time.sleep(0.01)
    pytest.fail(f"not ready in {seconds} s: {seen[-5:]}")


def test_serves_the_shipped_model_and_stops_cleanly() -> None:
    with server() as (process, client):
        seen = wait_until_ready(client)
        assert set(seen) <= {0, 503, 200}
        jpeg = base64.b64encode(picture(format_name="JPEG")).decode()
        found = client.post("/embeddings", json={"text": "red circle", "image": jpeg}).json()
        assert found["model"] == "OpenCLIP-shapes-tiny"
        assert len(found["embeddings"]) == 2
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "OpenCLIP-shapes-tiny (shapes-tiny, space " in log
    assert '"status":200,"code":null,"texts":1,"images":1' in log
    assert jpeg[:40] not in log
    assert "red circle" not in log


def test_a_request_in_flight_is_finished_after_sigterm() -> None:
    with server() as (process, client):
        wait_until_ready(client)
        texts = [f"text number {number} " * 12 for number in range(256)]
        answers: list[httpx.Response] = []
        busy = threading.Thread(
            target=lambda: answers.append(client.post("/embeddings", json={"text": texts}))
        )
        busy.start()
        time.sleep(0.15)
        process.send_signal(signal.SIGTERM)
        busy.join(timeout=30)
        process.communicate(timeout=30)
    assert answers[0].status_code == 200
    assert len(answers[0].json()["embeddings"]) == 256
    assert process.returncode == 0


def test_many_clients_at_once_get_their_own_answers() -> None:
    with server(THREADS="2") as (_, client):
        wait_until_ready(client)
        texts = [f"{colour} {shape}" for colour in ("red", "blue") for shape in ("circle", "star")]
        alone = {
            t: client.post("/embeddings", json={"text": t}).json()["embeddings"] for t in texts
        }
        wrong: list[str] = []

        def ask(text: str) -> None:
            answers = [client.post("/embeddings", json={"text": text}).json() for _ in range(25)]
            wrong.extend(text for a in answers if a["embeddings"] != alone[text])

        threads = [threading.Thread(target=ask, args=(text,)) for text in texts * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def run_and_fail(**variables: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "handler.cli", "serve"],
        env=environment(free_port(), **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.replace("\n", " ")


def test_says_why_it_cannot_start(tmp_path: Path) -> None:
    assert "PORT='70000'" in run_and_fail(PORT="70000")
    assert "ENGINE='onnx'" in run_and_fail(ENGINE="onnx")
    assert "DEVICE=cuda needs ENGINE=torch" in run_and_fail(DEVICE="cuda")
    assert "is not a bundle" in run_and_fail(BUNDLE_DIR=str(tmp_path))
    cache = {"OPENCLIP_CACHE": str(tmp_path)}
    assert "no architecture 'ViT-Z-99'" in run_and_fail(MODEL_NAME="ViT-Z-99", **cache)
    known = run_and_fail(MODEL_NAME="ViT-L-14", **cache)
    assert "MODEL_PRETRAINED is not set" in known
    assert "laion2b_s32b_b82k" in known
    offline = run_and_fail(MODEL_NAME="ViT-B-32", HF_HUB_OFFLINE="1", **cache)
    assert "ViT-B-32 laion2b_s34b_b79k cannot be downloaded" in offline
    assert list(tmp_path.iterdir()) == []


def test_says_that_the_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"cannot listen on 127.0.0.1:{port}" in run_and_fail(PORT=port)
