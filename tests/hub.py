"""A model hub of our own: repositories on a loopback port, or laid out as the hub's cache."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]


class Repository(NamedTuple):
    """One repository: files by path, for every commit, and what its branches and tags point to."""

    commits: dict[str, dict[str, bytes]]
    refs: dict[str, str]


def one_commit(files: dict[str, bytes], commit: str = "a" * 40) -> Repository:
    """Return a repository whose main branch is this commit."""
    return Repository({commit: files}, {"main": commit})


def write_cache(home: Path, repositories: dict[str, Repository]) -> None:
    """Write what `huggingface_hub` leaves under HF_HOME after downloading everything."""
    for name, repository in repositories.items():
        folder = home / "hub" / f"models--{name.replace('/', '--')}"
        for commit, files in repository.commits.items():
            for path, data in files.items():
                blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
                blob.parent.mkdir(parents=True, exist_ok=True)
                blob.write_bytes(data)
                link = folder / "snapshots" / commit / path
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.path.relpath(blob, link.parent))
        for ref, commit in repository.refs.items():
            (folder / "refs").mkdir(parents=True, exist_ok=True)
            (folder / "refs" / ref).write_text(commit)


class HubServer(ThreadingHTTPServer):
    """The few endpoints a download needs, with entity tags, ranges and, if asked, a bad line."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Repository], cut_once_after: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.cut_once_after = cut_once_after
        """Bytes of the first large file after which the connection breaks, once."""
        self.requests: list[tuple[str, str, str]] = []
        """(method, path, Range header), in order."""

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.requests.append((self.command, path, self.headers.get("Range", "")))
        match path.split("/"):
            case ["api", "models", owner, name]:
                self._listing(f"{owner}/{name}", "main", tree=False)
            case ["api", "models", owner, name, "revision", ref]:
                self._listing(f"{owner}/{name}", ref, tree=False)
            case ["api", "models", owner, name, "tree", ref]:
                self._listing(f"{owner}/{name}", ref, tree=True)
            case [owner, name, "resolve", ref, *rest]:
                self._file(f"{owner}/{name}", ref, "/".join(rest))
            case _:
                self._missing("EntryNotFound")

    def _files(self, name: str, ref: str) -> tuple[str, dict[str, bytes]] | None:
        repository = self.server.repositories.get(name)
        if repository is None:
            self._missing("RepoNotFound")
            return None
        commit = repository.refs.get(ref, ref)
        if commit not in repository.commits:
            self._missing("RevisionNotFound")
            return None
        return commit, repository.commits[commit]

    def _listing(self, name: str, ref: str, *, tree: bool) -> None:
        if (found := self._files(name, ref)) is None:
            return
        commit, files = found
        if tree:
            body: Any = [
                {"type": "file", "path": path, "size": len(data), "oid": _tag(data)[:40]}
                for path, data in files.items()
            ]
        else:
            siblings = [{"rfilename": path} for path in files]
            body = {"id": name, "modelId": name, "sha": commit, "siblings": siblings}
        self._send(HTTPStatus.OK, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, ref: str, path: str) -> None:
        if (found := self._files(name, ref)) is None:
            return
        commit, files = found
        if path not in files:
            self._missing("EntryNotFound", {"X-Repo-Commit": commit})
            return
        data = files[path]
        headers = {
            "ETag": f'"{_tag(data)}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        status, start = HTTPStatus.OK, 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").split("-")[0])
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cut, large = self.server.cut_once_after, len(data) > 100_000
        if cut and large and self.command == "GET":
            self.server.cut_once_after = 0
            self._send(status, data[start : start + cut], headers, length=len(data) - start)
            self.close_connection = True
            return
        self._send(status, data[start:], headers)

    def _missing(self, code: str, headers: dict[str, str] | None = None) -> None:
        self._send(HTTPStatus.NOT_FOUND, b"", {"X-Error-Code": code, **(headers or {})})

    def _send(
        self, status: HTTPStatus, body: bytes, headers: dict[str, str], length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def run(
    *arguments: str, home: Path, environ: dict[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments in a process that knows no hub but the one described."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
    known = {name: os.environ[name] for name in kept if name in os.environ}
    hub = {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_COLOR": "1", "COLUMNS": "400"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=known | hub | environ,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=300,
    )


_BAKE = """
import json, sys
from pathlib import Path
from handler.bake import BakeRequest, bake
from handler.errors import SetupError
failures = {}
for wanted in json.load(sys.stdin):
    out = Path(wanted.pop("out"))
    try:
        bake(BakeRequest(pretrained="", engine="torch", out=out, **wanted))
    except SetupError as error:
        failures[out.name] = str(error)
print(json.dumps(failures))
"""


def bake_all(
    requests: list[dict[str, str]], home: Path, environ: dict[str, str]
) -> tuple[dict[str, str], str]:
    """Bake several bundles in one process; return the failures by `out`'s name, and stderr."""
    result = run("-c", _BAKE, home=home, environ=environ, stdin=json.dumps(requests))
    assert result.returncode == 0, result.stderr
    failures: dict[str, str] = json.loads(result.stdout)
    return failures, result.stderr
