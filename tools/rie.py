"""AWS's own Runtime Interface Emulator as a plain process, with AWS's own runtime client in it."""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

ROOT = Path(__file__).parents[1]
MEMORY_MB = 3008
INVOCATIONS = "/2015-03-31/functions/function/invocations"


class Rie:
    """One function in one execution environment; `variables` are its own, `entry` its handler.

    The emulator imports the handler at the first invocation. A second invocation while one is in
    progress crashes it, so callers are queued here.
    """

    def __init__(self, entry: str = "handler.lambda_entry.handler", **variables: str) -> None:
        self.stdout: list[str] = []
        """Lines the emulator and the function have written so far; complete after `close`."""
        emulator = binary()
        self._folder = tempfile.TemporaryDirectory()
        self._lock = threading.Lock()
        port, api_port = _free_ports()
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
        self._process = subprocess.Popen(
            [
                str(_executable(emulator, Path(self._folder.name))),
                "--runtime-interface-emulator-address",
                f"127.0.0.1:{port}",
                "--runtime-api-address",
                f"127.0.0.1:{api_port}",
                sys.executable,
                "-m",
                "awslambdaric",
                entry,
            ],
            cwd=self._folder.name,
            env=kept
            | {
                "AWS_LAMBDA_FUNCTION_NAME": "openclip",
                "AWS_LAMBDA_FUNCTION_VERSION": "1",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB),
                "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
                "MODEL_NAME": "shapes-tiny",
            }
            | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self.url, timeout=120)
        try:
            _wait_for(port, self._process)
        except BaseException:
            self.close()
            raise

    def invoke(self, event: object) -> httpx.Response:
        """Post one event; bytes are sent as they are, anything else as JSON."""
        content = event if isinstance(event, bytes) else json.dumps(event).encode()
        with self._lock:
            return self._client.post(INVOCATIONS, content=content)

    def close(self) -> None:
        """Stop the emulator and what it started, and read the rest of the output."""
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self.stdout.append(line.rstrip("\n"))


def binary() -> Path:
    """Return the emulator: AWS_LAMBDA_RIE, then the PATH, then the one inside aws-sam-cli."""
    named = os.environ.get("AWS_LAMBDA_RIE") or shutil.which("aws-lambda-rie")
    if named:
        return Path(named)
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    inside = f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
    for found in (ROOT / ".venvs" / "sam").glob(inside):
        return found
    raise FileNotFoundError(
        "aws-lambda-rie is neither named by AWS_LAMBDA_RIE nor on the PATH nor in .venvs/sam; "
        "`make test` installs it"
    )


def _executable(found: Path, folder: Path) -> Path:
    if os.access(found, os.X_OK):
        return found
    copy = Path(shutil.copy(found, folder / "aws-lambda-rie"))
    copy.chmod(0o755)
    return copy


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise TimeoutError("the emulator does not listen")
