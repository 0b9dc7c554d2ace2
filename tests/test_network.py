"""Who is talked to: nobody when baking from disk or serving, only the hub when downloading.

Python's own audit events see every connection and name look-up of a process and its children.
"""

import base64
import json
from pathlib import Path

import pytest
from hub import HubServer, one_commit, run
from pictures import picture
from tiny_models import CAUSAL, write

_LISTEN = """
import os, sys

def _heard(event, arguments):
    if event in _EVENTS:
        with open(os.environ["HEARD"], "a") as log:
            log.write(f"{event} {arguments[-1] if event == 'socket.connect' else arguments!r}\\n")

_EVENTS = {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr",
    "socket.sendto", "socket.sendmsg", "urllib.Request", "http.client.connect",
}
sys.addaudithook(_heard)
"""

_SERVE = """
import json, sys
from handler.lambda_entry import handler

class Context:
    aws_request_id = "1"

for event in json.load(sys.stdin):
    answer = handler(event, Context())
    assert [len(vector) for vector in answer["embeddings"]] == [answer["dim"]], answer
"""


class Listener:
    """Runs Python and tells what its sockets did."""

    def __init__(self, folder: Path) -> None:
        (folder / "sitecustomize.py").write_text(_LISTEN)
        self.log = folder / "heard.txt"
        self.log.write_text("")
        self._folder = folder

    def run(self, *arguments: str, stdin: str = "", **environ: str) -> list[str]:
        listening = {"PYTHONPATH": str(self._folder), "HEARD": str(self.log)}
        home = self._folder / "home"
        result = run(*arguments, home=home, environ=listening | environ, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return self.log.read_text().splitlines()


@pytest.fixture
def listener(tmp_path: Path) -> Listener:
    return Listener(tmp_path)


def test_the_listener_hears(listener: Listener) -> None:
    connect = "import socket; s = socket.socket(); s.settimeout(1); s.connect_ex(('127.0.0.1', 9))"
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {connect!r}])"
    assert listener.run("-c", inner) == ["socket.connect ('127.0.0.1', 9)"]


def test_a_bake_from_disk_talks_to_nobody(listener: Listener, tmp_path: Path) -> None:
    """With the exporters, whose converter would like to report its use."""
    model = write(tmp_path / "checkpoint", CAUSAL)
    out = str(tmp_path / "out")
    assert listener.run("-m", "handler.bake", "--model", model, "--out", out) == []
    assert (tmp_path / "out" / "manifest.json").exists()


def test_serving_talks_to_nobody(listener: Listener) -> None:
    image = base64.b64encode(picture(format_name="JPEG")).decode()
    events = [{"text": "red sofa"}, {"text": "ein “rotes” Sofa &amp; Küche"}, {"image": image}]
    environ = {"MODEL_NAME": "shapes-tiny", "AWS_LAMBDA_FUNCTION_NAME": "test"}
    assert listener.run("-c", _SERVE, stdin=json.dumps(events), **environ) == []


def test_a_download_talks_to_the_hub_only(listener: Listener, tmp_path: Path) -> None:
    write(tmp_path / "model", CAUSAL)
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with HubServer({"org/tiny": one_commit(files)}) as server:
        arguments = ("--model", "hf-hub:org/tiny", "--out", str(tmp_path / "out"))
        heard = listener.run(
            *("-m", "handler.bake", *arguments, "--engine", "torch"), HF_ENDPOINT=server.url
        )
        assert server.requests
        port = server.server_address[1]
    connections = {line for line in heard if line.startswith("socket.connect")}
    assert connections == {f"socket.connect ('127.0.0.1', {port})"}
    assert all("'127.0.0.1'" in line for line in heard), heard
