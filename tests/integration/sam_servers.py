"""Starting SAM's servers, and stopping them as a user does."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sam_cli import ENVIRON, sam

from tools.docker_engine import BASE_TAG, ROOT, Engine

PARAMETERS = [
    f"BaseImage={BASE_TAG}",
    "ModelName=shapes-tiny",
    "ModelPretrained=none",
    "ModelId=OpenCLIP-shapes-tiny",
]
# No account is asked for anything; SAM wants the words all the same.
NO_ACCOUNT = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}


@contextmanager
def serving(
    command: list[str | Path], port: int, environ: dict[str, str], log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Run a server; yield its process and a client once it listens; stop it with SIGTERM."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"SAM does not listen: {log.read_text()[-2000:]}")
                time.sleep(0.05)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            yield process, client
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environ_of(engine: Engine) -> dict[str, str]:
    return engine.environ | ENVIRON | NO_ACCOUNT


def start_api(built: Path) -> tuple[list[str | Path], int]:
    """Return the command and its port.

    LAZY: EAGER would also start the smoke test, whose image is in a registry only.
    """
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--skip-pull-image"]
    containers = ["--warm-containers", "LAZY", "--parameter-overrides", *PARAMETERS]
    return [sam(), "local", "start-api", "-t", built, *options, *containers], port
