"""The FastAPI app: routes and errors; every entry (server, Lambda) serves this one."""

import time
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from handler import __version__
from handler.embedder import Embedder
from handler.errors import (
    MethodNotAllowed,
    NotFound,
    NotReady,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMedia,
)
from handler.frame import Frame, Observer, Record
from handler.page import add_page, index_page, wants_page
from handler.schemas import documents, native
from handler.settings import Settings

_JSON_TYPES = ("", "application/json", "text/plain", "application/x-www-form-urlencoded")
"""The last two are what curl and browsers send when nobody names a type; the body decides."""


def create_app(
    embedder: Callable[[], Embedder | None],
    settings: Settings,
    observe: Observer,
) -> FastAPI:
    """Return the app.

    Args:
        embedder: returns the model, or None while it loads.
        settings: limits and defaults.
        observe: called once a request with what happened; never sees content.
    """
    app = FastAPI(
        title="OpenCLIP Serverless",
        version=__version__,
        summary="Texts and pictures in, the checkpoint's own vectors out.",
        redoc_url=None,
    )
    app.add_middleware(Frame, observe=observe)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["x-request-id"],
    )

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> Response:
        return _error(request, error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        if error.status_code == 405:
            found: ServiceError = MethodNotAllowed(f"{request.method} is not allowed on {path}")
        else:
            found = NotFound(f"there is no {path}; POST /embeddings, GET / and GET /health exist")
        return _error(request, found, dict(error.headers or {}))

    def ready() -> Embedder:
        found = embedder()
        if found is None:
            raise NotReady("the model is still loading; try again in a moment")
        return found

    @app.head("/", include_in_schema=False)
    @app.get("/", summary="What this service is and which model answers")
    async def index(request: Request) -> Response:
        if wants_page(request):
            return await run_in_threadpool(index_page, request)
        found = embedder()
        return _json(
            {
                "name": "openclip-serverless",
                "version": __version__,
                "status": "loading" if found is None else "ready",
                **({} if found is None else _model(found, settings)),
                "endpoints": {
                    "POST /embeddings": "texts and pictures to vectors",
                    "GET /health": "200 when ready",
                    "GET /docs": "this API, to read and try",
                },
            },
            headers={"vary": "accept"},
        )

    @app.head("/health", include_in_schema=False)
    @app.get(
        "/health",
        summary="200 only when the model is loaded and warm",
        responses={503: {"model": documents.ErrorResponse}},
    )
    async def health() -> Response:
        return _json({"status": "ok", **_model(ready(), settings)})

    @app.post(
        "/embeddings",
        summary="Embed texts and pictures",
        response_model=documents.EmbeddingsResponse,
        responses={
            status: {"model": documents.ErrorResponse} for status in (400, 413, 415, 422, 500, 503)
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": documents.EmbeddingsRequest.model_json_schema(),
                        "examples": documents.EXAMPLES,
                    },
                    "image/*": {"schema": {"type": "string", "format": "binary"}},
                },
            }
        },
    )
    async def embeddings(request: Request) -> Response:
        started = time.perf_counter()
        found = ready()
        kind = _body_type(request)
        body = await read_body(request, settings.max_body_bytes)
        answer = await run_in_threadpool(_embed, found, settings, kind, body, started, request)
        return Response(answer, media_type="application/json")

    add_page(app)
    return app


def _embed(
    embedder: Embedder,
    settings: Settings,
    kind: str,
    body: bytes,
    started: float,
    request: Request,
) -> bytes:
    dim = embedder.manifest.dim
    if kind.startswith("image/"):
        wanted = native.decode_picture(body, request.query_params, settings, dim)
    else:
        wanted = native.decode(body, settings, dim)
    record: Record | None = request.scope.get("state", {}).get("record")
    if record is not None:
        record.texts, record.images = len(wanted.texts), len(wanted.images)
    found = embedder.embed(wanted.texts, wanted.images, wanted.options)
    seconds = time.perf_counter() - started
    return native.encode(found, embedder.manifest, embedder.device, wanted.options, seconds)


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, stopping at the limit whatever Content-Length says.

    Raises:
        PayloadTooLarge: it is larger.
    """
    error = PayloadTooLarge(
        f"the request body has more than {limit} bytes",
        field="body",
        limit=limit,
        code="body_too_large",
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise error
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise error
        parts.append(part)
    return b"".join(parts)


def _body_type(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _JSON_TYPES and not kind.endswith("+json") and not kind.startswith("image/"):
        raise UnsupportedMedia(
            f"Content-Type {kind[:80]!r} is not read here; send application/json or image/*",
            field="content-type",
        )
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UnsupportedMedia("compressed bodies are not read here", field="content-encoding")
    return kind


def _model(embedder: Embedder, settings: Settings) -> dict[str, Any]:
    manifest = embedder.manifest
    return {
        "model": manifest.model_id,
        "model_name": manifest.model_name,
        "pretrained": manifest.pretrained,
        "space": embedder.default_space,
        "dim": manifest.dim,
        "context_length": manifest.tokenizer.context_length,
        "image_size": [manifest.preprocess.height, manifest.preprocess.width],
        "device": embedder.device,
        "engine": manifest.engine,
        "precision": settings.precision,
    }


def _error(
    request: Request, error: ServiceError, headers: dict[str, str] | None = None
) -> Response:
    record: Record | None = request.scope.get("state", {}).get("record")
    if record is not None:
        record.code = error.code
    return _json(error.body(), error.status, headers)


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
