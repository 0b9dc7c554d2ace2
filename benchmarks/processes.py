"""Child processes, stopped whatever happens; the page cache; the machine."""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.children import READY

LIMIT_SECONDS: Final = 180
ROOT: Final = Path(__file__).parents[1]
_PACKAGES: Final = ("torch", "openvino", "open_clip_torch", "pillow", "numpy", "fastapi")


class Child:
    """One process in a group of its own, its complaints in a log file."""

    def __init__(
        self, command: list[str], environ: Mapping[str, str], log: Path, *, talks: bool
    ) -> None:
        self.log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                # A pipe nobody reads would block a server once it is full of access lines.
                stdout=subprocess.PIPE if talks else errors,
                stderr=errors,
                env={**os.environ, "HF_HUB_OFFLINE": "1", **environ},
                cwd=ROOT,
                start_new_session=True,
            )

    def answer(self, line: str | None = None) -> Any:
        """Send a line if there is one, and return what follows READY in the next answer.

        Raises:
            RuntimeError: the process ended or took too long.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        guard = threading.Timer(LIMIT_SECONDS, self.stop)
        guard.start()
        try:
            if line is not None:
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()
            for found in self.process.stdout:
                if found.startswith(READY.encode()):
                    return json.loads(found[len(READY) :].strip() or b"null")
        finally:
            guard.cancel()
        raise self.failure("ended without an answer")

    def failure(self, what: str) -> RuntimeError:
        """Return an error with the end of the log in it."""
        tail = self.log.read_text(errors="replace")[-1500:]
        return RuntimeError(f"{' '.join(self.process.args)} {what}:\n{tail}")  # type: ignore[arg-type]

    def stop(self) -> None:
        """End the process and all it has started."""
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0)):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(patience)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


@contextmanager
def running(
    command: list[str], environ: Mapping[str, str], log: Path, *, talks: bool = True
) -> Iterator[Child]:
    """Run a child for as long as the block lasts; one that `talks` gives answers."""
    child = Child(command, environ, log, talks=talks)
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def serving(
    module: list[str], path: str, environ: Mapping[str, str], log: Path
) -> Iterator[httpx.Client]:
    """Run a server and give a keep-alive client to it, once `path` answers 200."""
    port = free_port()
    command = [sys.executable, "-m", *module]
    settings = {**environ, "HOST": "127.0.0.1", "PORT": str(port)}
    with (
        running(command, settings, log, talks=False) as child,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=LIMIT_SECONDS, trust_env=False
        ) as client,
    ):
        wait_for(client, path, child)
        yield client


def wait_for(client: httpx.Client, path: str, child: Child) -> None:
    """Return once the server answers 200; fail when it ends or takes too long."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        if child.process.poll() is not None:
            raise child.failure(f"ended with {child.process.returncode}")
        try:
            if client.get(path).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise child.failure("did not become ready")


def free_port() -> int:
    """Return a loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def drop_page_cache() -> str | None:
    """Empty the kernel's page cache; return why not, where that is not possible."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError as error:
        return f"page cache not dropped, which root on Linux can do: {error.strerror}"
    return None


def machine() -> dict[str, str]:
    """Return what a reader has to know to compare figures."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [n for n in info.read_text().splitlines() if n.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "CPU": model,
        "cores": str(len(affinity(0)) if affinity else os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
    }
