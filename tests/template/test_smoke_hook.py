"""The pre-traffic hook: real boto3 against a server that speaks Lambda's and CodeDeploy's API."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest
from sam_cli import ENVIRON, ROOT, sam_python
from starlette.testclient import TestClient

VERSION = "arn:aws:lambda:us-east-1:111122223333:function:embed:7"
EVENT = {"DeploymentId": "d-ABC", "LifecycleEventHookExecutionId": "h-1"}


@contextmanager
def aws(function: Callable[[Any], Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve both APIs; yields the address and what CodeDeploy is told."""
    told: list[dict[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, answer = 200, {}
            target = self.headers.get("x-amz-target")
            if target == "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus":
                told.append(body)
            elif unquote(self.path) == f"/2015-03-31/functions/{VERSION}/invocations":
                try:
                    answer = function(body)
                except RuntimeError as error:
                    status, answer = 500, {"Type": "Service", "Message": str(error)}
            else:
                status = 404
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", told
        finally:
            server.shutdown()
            thread.join()


def run_hook(endpoint: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the hook as Lambda would, with boto3 pointed at our server."""
    code = "import json, sys, app; app.handler(json.loads(sys.argv[1]), None)"
    return subprocess.run(
        [sam_python(), "-c", code, json.dumps(EVENT)],
        cwd=ROOT / "infra" / "smoke_test",
        env=os.environ
        | ENVIRON
        | {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "NEW_VERSION": VERSION,
        }
        | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def report(status: str) -> list[dict[str, str]]:
    return [
        {
            "deploymentId": "d-ABC",
            "lifecycleEventHookExecutionId": "h-1",
            "status": status,
        }
    ]


@pytest.mark.parametrize("towers", ["both", "image"])
def test_a_version_that_embeds_gets_traffic(towers: str, client: TestClient) -> None:
    asked: list[object] = []

    def function(payload: object) -> object:
        asked.append(payload)
        return client.post("/embeddings", json=payload).json()

    with aws(function) as (endpoint, told):
        result = run_hook(endpoint, TOWERS=towers)
    assert result.returncode == 0, result.stderr
    assert told == report("Succeeded")
    assert [list(payload) for payload in asked if isinstance(payload, dict)] == [
        ["image" if towers == "image" else "text"]
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 503, "error": {"code": "not_ready"}},
        {"errorMessage": "no bundle", "errorType": "SetupError"},
        {"embeddings": [[0.0, 0.0]]},
        {"embeddings": []},
        None,
    ],
)
def test_a_version_that_does_not_embed_gets_none(answer: object) -> None:
    with aws(lambda payload: answer) as (endpoint, told):
        result = run_hook(endpoint)
    assert result.returncode == 0, result.stderr
    assert told == report("Failed")
    assert json.loads(result.stdout)["problem"]


def test_codedeploy_hears_of_a_failed_call_at_once() -> None:
    calls: list[object] = []

    def function(payload: object) -> object:
        calls.append(payload)
        raise RuntimeError("no such version")

    with aws(function) as (endpoint, told):
        result = run_hook(endpoint)
    assert result.returncode == 1
    assert "no such version" in result.stderr
    assert told == report("Failed")
    assert len(calls) == 1
