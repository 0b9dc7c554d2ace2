"""The FastAPI app: routes and errors; every entry (server, Lambda) serves this one."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Scope

from handler import __version__
from handler.about import add_about
from handler.arrival import read_request
from handler.embedder import Embedder
from handler.errors import MethodNotAllowed, NotFound, ServiceError
from handler.frame import Frame, Observer, Record
from handler.keys import BearerKey
from handler.page import add_page
from handler.routes import EMBEDDING_PATHS
from handler.schemas.contract import Answer
from handler.service import Service, refusal
from handler.settings import Settings

if TYPE_CHECKING:
    from handler.crowd import Crowd


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
    service = Service(embedder, settings)
    crowd: Crowd | None = None
    if settings.max_batch:
        from handler import crowd as crowds

        crowd = crowds.Crowd(settings)
    app = FastAPI(
        title="OpenCLIP Serverless",
        version=__version__,
        summary="Texts and pictures in, the checkpoint's own vectors out.",
        redoc_url=None,
    )
    if key := settings.api_key.get_secret_value():
        app.add_middleware(BearerKey, key=key, refuse=_refuse)
    app.add_middleware(Frame, observe=observe, refuse=_refuse)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["x-request-id", "x-embedding-space", "x-embedding-shape"],
    )

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> Response:
        return _refuse(request.scope, error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        path = route_path(request.scope)
        if error.status_code == 405:
            found: ServiceError = MethodNotAllowed(f"{request.method} is not allowed on {path}")
        else:
            found = NotFound(f"there is no {path}; GET / lists what there is")
        response = _refuse(request.scope, found)
        response.headers.update(error.headers or {})
        return response

    async def embed(request: Request) -> Response:
        started = time.monotonic()
        record: Record = request.scope["state"]["record"]
        if settings.request_seconds:
            record.call.deadline = started + settings.request_seconds
        service.ready()
        path = route_path(request.scope)
        if crowd is not None:
            return _response(await crowd.answer(request, path, service, record))
        arrived = await read_request(request, settings)
        return _response(await run_in_threadpool(service.answer, path, arrived, record))

    for path in EMBEDDING_PATHS:
        app.add_route(path, embed, ["POST"])
    add_about(app, service, settings)
    add_page(app)

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:  # made when it is first asked for: a cold start pays nothing
            from handler.schemas.documents import openapi

            model = embedder()
            manifest = model.manifest if model else None
            document = openapi(app.title, app.version, app.summary or "", settings, manifest)
            if model is None:
                return document  # the limits of the model that is still loading are not in it
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def route_path(scope: Scope) -> str:
    """Return the path without the prefix a proxy has stripped or a stage has added."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _refuse(scope: Scope, error: ServiceError) -> Response:
    record: Record | None = scope.get("state", {}).get("record")
    if record is not None:
        record.code = error.code
    return _response(refusal(route_path(scope), error))


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers, media_type=answer.media_type)
