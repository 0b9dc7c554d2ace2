"""The real Lambda Runtime Interface Emulator and runtime client as plain processes."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from benchmarks.processes import LIMIT_SECONDS, ROOT, free_port, running

_NAME: Final = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}
_INVOKE: Final = "/2015-03-31/functions/function/invocations"


def find_binary() -> Path | None:
    """Return the emulator: $AWS_LAMBDA_RIE, PATH, or the one aws-sam-cli brings (`make test`)."""
    if named := os.environ.get("AWS_LAMBDA_RIE"):
        return Path(named)
    name = _NAME.get(platform.machine(), "aws-lambda-rie")
    if found := shutil.which("aws-lambda-rie") or shutil.which(name):
        return Path(found)
    packages = "lib/python*/site-packages/samcli/local/rapid"
    return next(ROOT.glob(f".venvs/*/{packages}/{name}"), None)


@contextmanager
def emulator(
    binary: Path, environ: Mapping[str, str], log: Path
) -> Iterator[Callable[[bytes], httpx.Response]]:
    """Give a function that invokes the handler with one JSON event; one at a time."""
    front, runtime = free_port(), free_port()
    command = [
        str(binary),
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{front}",
        "--runtime-api-address",
        f"127.0.0.1:{runtime}",
        *(sys.executable, "-m", "awslambdaric", "handler.lambda_entry.handler"),
    ]
    settings = {**environ, "AWS_LAMBDA_FUNCTION_TIMEOUT": str(LIMIT_SECONDS)}
    with (
        running(command, settings, log, talks=False),
        httpx.Client(
            base_url=f"http://127.0.0.1:{front}", timeout=LIMIT_SECONDS, trust_env=False
        ) as client,
    ):

        def invoke(event: bytes) -> httpx.Response:
            return client.post(_INVOKE, content=event)

        yield invoke
