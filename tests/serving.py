"""The real server process on a known port, and a small real gateway in front of it."""

import base64
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from test_server import environment, free_port, wait_until_ready

Answer = tuple[int, bytes]
Rule = Callable[[BaseHTTPRequestHandler], Answer | None]
"""Sees each request first and may answer it in the service's place, or hold it."""


@contextmanager
def serving(**variables: str) -> Iterator[str]:
    """Run the server, on a free port if PORT names none, and give its origin."""
    port = int(variables.get("PORT") or free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "handler.cli", "serve"],
        env=environment(port, **({"LOG_LEVEL": "warning"} | variables)),
        stderr=subprocess.DEVNULL,
    )
    try:
        origin = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=origin, timeout=30) as client:
            wait_until_ready(client)
        yield origin
    finally:
        process.kill()
        process.wait()


def vectors(service: str, texts: list[str], paths: list[Path]) -> Any:
    """Ask the service itself for unit vectors: (texts + pictures, dim)."""
    images = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    body = {"text": texts, "image": images, "normalize": True}
    found = httpx.post(f"{service}/embeddings", json=body, timeout=30).raise_for_status()
    return np.array(found.json()["embeddings"])


@contextmanager
def gateway(service: str, prefix: str = "", rule: Rule = lambda request: None) -> Iterator[str]:
    """Run a proxy that takes the prefix off, and give its origin."""

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.forward()

        def do_POST(self) -> None:
            self.forward()

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            answer = rule(self)
            if answer is not None:
                self.send(answer[0], answer[1], {"content-type": "application/json"})
                return
            if self.path != prefix and not self.path.startswith(prefix + "/"):
                self.send(404, b"no such stage", {"content-type": "text/plain"})
                return
            path = self.path[len(prefix) :] or "/"
            headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            found = httpx.request(
                self.command, service + path, content=body, headers=headers, timeout=30
            )
            kept = ("content-type", "content-security-policy", "etag", "vary")
            self.send(
                found.status_code,
                found.content,
                {k: found.headers[k] for k in kept if k in found.headers},
            )

        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:  # the browser took the request back
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
