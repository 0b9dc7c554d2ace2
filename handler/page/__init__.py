"""The page at `/` and its files: read when a browser asks, so a cold start never pays for them."""

import hashlib
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response

from handler.errors import NotFound

FOLDER: Final = Path(__file__).parent
FILES: Final = (
    "style.css",
    "page.js",
    "api.js",
    "copying.js",
    "curl.js",
    "pictures.js",
    "problems.js",
    "results.js",
    "examples/red-circle.png",
    "examples/blue-square.png",
    "examples/green-star.png",
    "examples/yellow-triangle.png",
    "examples/purple-heart.png",
)
"""Everything under `/page/`; nothing else of the folder is served."""

_TYPES: Final = {
    # Named here: what Python guesses for .js depends on the machine. Gateways pass text/* as text.
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
}
_HEADERS: Final = {
    "cache-control": "no-cache",  # kept, but asked about: a new version shows at once
    # No frame-ancestors: hosts such as Docker Spaces show a service in a frame of theirs.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'self'; form-action 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def add_page(app: FastAPI) -> None:
    """Serve the files of `FILES` under `/page/`; any other name is a NotFound."""

    @app.api_route("/page/{name:path}", methods=["GET", "HEAD"], include_in_schema=False)
    def page_file(name: str, request: Request) -> Response:
        if name not in FILES:
            raise NotFound(f"there is no /page/{name}")
        path = FOLDER / name
        return _answer(request, path.read_bytes(), path.suffix)


def wants_page(request: Request) -> bool:
    """Tell whether the client would rather have HTML than JSON; `*/*` and a tie mean JSON."""
    accept = ",".join(request.headers.getlist("accept"))
    return _quality(accept, "text/html") > _quality(accept, "application/json")


def index_page(request: Request) -> Response:
    """Return the page.

    Its links are relative. Behind a prefix they are told where from, since the page may have been
    opened without the slash at the end; where no prefix is known, the address itself tells.
    """
    text = (FOLDER / "index.html").read_text("utf-8")
    prefix = str(request.scope.get("root_path", "")).strip("/")
    base = f'<base href="/{quote(prefix)}/">' if prefix else ""
    answer = _answer(request, text.replace("<!-- base -->", base).encode(), ".html")
    answer.headers["vary"] = "accept"
    return answer


def _answer(request: Request, content: bytes, suffix: str) -> Response:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = _HEADERS | {"etag": tag}
    known = request.headers.get("if-none-match", "").split(",")
    if tag in {one.strip().removeprefix("W/") for one in known}:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_TYPES[suffix])


def _quality(accept: str, wanted: str) -> float:
    """Return the weight an Accept header gives a media type, by its most specific range."""
    ranges = {wanted: 2, wanted.partition("/")[0] + "/*": 1, "*/*": 0}
    best, found = -1, 0.0
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        rank = ranges.get(name, -1)
        if rank > best:
            best, found = rank, _weight(parameters)
    return found


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
