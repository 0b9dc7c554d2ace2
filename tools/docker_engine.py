"""A real Docker engine for the tests: started if none runs, with a stand-in base image."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent / "docker"
BASE_TAG = "openclip-base:stand-in"
LAMBDA_LIMITS = [
    "--read-only",
    "--tmpfs=/tmp:rw,size=512m,mode=1777",
    "--user=1000:1000",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
]
"""What Lambda does to a container, as far as Docker can: read-only, /tmp only, nobody's rights."""
LAMBDA_ARGUMENTS = {
    "MODEL_NAME": "shapes-tiny",
    "MODEL_PRETRAINED": "",
    "MODEL_ID": "OpenCLIP-shapes-tiny",
    "MODEL_REVISION": "",
    "ENGINE": "openvino",
}
"""All that `sam build` passes, defaults too: the legacy builder's cache tells them apart."""
INVOKE = "/2015-03-31/functions/function/invocations"


class Engine:
    """The docker client, pointed at an engine that answers."""

    def __init__(self, rie: Path) -> None:
        started = subprocess.run(
            [HERE / "engine.sh"], capture_output=True, text=True, timeout=300, check=False
        )
        if started.returncode:
            raise RuntimeError(f"no Docker engine can be had: {started.stderr[-500:]}")
        # The distribution's client brings its builder; a newer one without a plugin does not.
        debian = Path("/usr/bin/docker")
        self.client = str(debian if debian.exists() else shutil.which("docker"))
        host = [line for line in started.stdout.splitlines() if line.startswith("DOCKER_HOST=")]
        self.environ = os.environ | {"DOCKER_BUILDKIT": "0"}
        if host:
            self.environ["DOCKER_HOST"] = host[0].removeprefix("DOCKER_HOST=")
        subprocess.run(
            [HERE / "base_image.sh", BASE_TAG, rie],
            env=self.environ,
            timeout=900,
            check=True,
            capture_output=True,
        )

    def run(self, *arguments: str, check: bool = True, timeout: float = 1800) -> str:
        """Run one docker command and return its output, both streams together."""
        result = subprocess.run(
            [self.client, *arguments],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and result.returncode:
            raise RuntimeError(f"docker {arguments[0]}: {result.stdout[-3000:]}")
        return result.stdout

    def build(self, context: Path, dockerfile: str, tag: str, **arguments: str) -> str:
        """Build an image on the stand-in base and return the builder's log."""
        options = [
            f"--build-arg={k}={v}" for k, v in ({"BASE_IMAGE": BASE_TAG} | arguments).items()
        ]
        file = str(context / dockerfile)
        return self.run("build", "-f", file, "-t", tag, *options, str(context))

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what docker knows of an image or a container."""
        found: dict[str, Any] = json.loads(self.run("inspect", name))[0]
        return found

    @contextmanager
    def container(
        self, image: str, port: int, *options: str, command: str = ""
    ) -> Iterator[tuple[str, httpx.Client]]:
        """Run an image, with a command if given; yield its id and a client of its port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            host_port = probe.getsockname()[1]
        identifier = self.run(
            "run", "-d", "-p", f"127.0.0.1:{host_port}:{port}", *options, image, *command.split()
        ).split()[-1]
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{host_port}", timeout=60) as client:
                yield identifier, client
        finally:
            self.run("rm", "-f", identifier, check=False)

    def wait(self, client: httpx.Client, identifier: str, path: str, seconds: float = 120) -> None:
        """Wait until a GET of `path` gives 200; for `/` 404 will do, since RIE has none."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if client.get(path).status_code in ((200, 404) if path == "/" else (200,)):
                    return
            except httpx.TransportError:
                pass
            if not self.inspect(identifier)["State"]["Running"]:
                break
            time.sleep(0.1)
        raise RuntimeError(f"not ready: {self.run('logs', identifier)[-2000:]}")
