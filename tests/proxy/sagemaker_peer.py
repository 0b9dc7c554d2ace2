"""SageMaker's runtime API as a real HTTP server in front of a real container.

It does what the service does between a client and a container: signs are not checked, of the
headers only SageMaker's own arrive, errors of the container become ModelError, limits are kept.
Asynchronous calls read their input from S3 and leave their answer there. An endpoint's name may ask
for something to go wrong.
"""

import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

REALTIME_BYTES = 25 * 1024 * 1024
ASYNC_BODY_BYTES = 128_000
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
NO_CAPACITY = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be "
    "in-progress (if configured) or try to increase the capacity."
)
TROUBLE: dict[str, tuple[int, str, str]] = {
    "throttled": (400, "ThrottlingException", "Rate exceeded"),
    "scaled": (400, "ValidationError", NO_CAPACITY),
    "absent": (400, "ValidationError", "Endpoint absent of account 1 not found."),
    "loading": (429, "ModelNotReadyException", "Model is not ready"),
    "busy": (503, "ServiceUnavailable", "try again"),
    "broken": (500, "InternalFailure", "internal"),
    "denied": (403, "AccessDeniedException", "not authorized"),
}


@dataclass
class Peer:
    """A running peer: its address, what reached it, and what holds the endpoint `slow`."""

    url: str = ""
    calls: list[tuple[str, dict[str, str], int]] = field(default_factory=list)
    """Endpoint, headers that the container gets, and bytes of the body, of each request."""
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def sagemaker(container: str, s3: Any = None, bucket: str = "") -> Iterator[Peer]:
    """Serve the runtime API in front of `container`; asynchronous answers go to `bucket`."""
    peer = Peer()

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            _, _, endpoint, action = urlsplit(self.path).path.split("/")
            body = self.rfile.read(int(self.headers["content-length"]))
            asynchronous = action == "async-invocations"
            if asynchronous:
                if location := self.headers.get("X-Amzn-SageMaker-InputLocation"):
                    where = urlsplit(location)
                    stored = s3.get_object(Bucket=where.netloc, Key=where.path.lstrip("/"))
                    body = stored["Body"].read()
                elif not 0 < len(body) <= ASYNC_BODY_BYTES:
                    self._error(400, "ValidationError", Message="Body is too large")
                    return
                kind = self.headers.get("X-Amzn-SageMaker-Content-Type", "")
            else:
                kind = self.headers.get("content-type", "")
            passed = {"Content-Type": kind, ATTRIBUTES: self.headers.get(ATTRIBUTES, "")}
            if accept := self.headers.get("accept"):
                passed["Accept"] = accept
            peer.calls.append((endpoint, passed, len(body)))
            if endpoint in TROUBLE:
                status, code, message = TROUBLE[endpoint]
                self._error(status, code, Message=message)
            elif endpoint == "gone":
                self.close_connection = True
            elif endpoint == "cut":
                self._send(200, b"{", {"content-length": "100"})
                self.close_connection = True
            elif endpoint == "silent":
                self._model_error(0, "Your invocation timed out while waiting for a response")
            elif endpoint == "html":
                self._model_error(500, "<html>")
            elif not asynchronous and len(body) > REALTIME_BYTES:
                self._error(413, "ValidationError", Message="Request size is too large")
            else:
                if endpoint == "slow":
                    peer.release.wait(30)
                status, kind, told, answer = _ask(container, passed, body)
                if asynchronous:
                    self._store(endpoint, status, kind, answer)
                elif status >= 400:
                    self._model_error(status, answer.decode())
                else:
                    self._send(200, answer, {"content-type": kind, ATTRIBUTES: told})

        def _store(self, endpoint: str, status: int, kind: str, answer: bytes) -> None:
            name = uuid.uuid4().hex
            places = {True: f"out/{name}.out", False: f"failed/{name}-error.out"}
            if endpoint != "never":
                s3.put_object(
                    Bucket=bucket, Key=places[status < 400], Body=answer, ContentType=kind
                )
            headers = {
                "X-Amzn-SageMaker-OutputLocation": f"s3://{bucket}/{places[True]}",
                "X-Amzn-SageMaker-FailureLocation": f"s3://{bucket}/{places[False]}",
            }
            self._send(202, json.dumps({"InferenceId": name}).encode(), headers)

        def _model_error(self, status: int, original: str) -> None:
            side = "client" if 400 <= status < 500 else "server"
            text = f'Received {side} error ({status}) from primary with message "{original}"'
            self._error(
                424, "ModelError", Message=text, OriginalStatusCode=status, OriginalMessage=original
            )

        def _error(self, status: int, code: str, **body: object) -> None:
            self._send(status, json.dumps(body).encode(), {"x-amzn-errortype": code})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            with suppress(ConnectionError):  # the client no longer waits
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        peer.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield peer
        finally:
            peer.release.set()
            server.shutdown()
            thread.join()


def _ask(container: str, headers: dict[str, str], body: bytes) -> tuple[int, str, str, bytes]:
    """Return status, Content-Type, attributes and body of the container's own answer."""
    request = urllib.request.Request(f"{container}/invocations", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as found:
            told = found.headers.get(ATTRIBUTES, "")
            return found.status, found.headers["content-type"], told, found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], "", error.read()
