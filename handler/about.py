"""Routes that tell about the service: what it is, which model answers, whether it is ready."""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from handler import __version__
from handler.embedder import Embedder
from handler.errors import NotReady
from handler.page import index_page, wants_page
from handler.service import Service
from handler.settings import Settings

ENDPOINTS = {
    "POST /embeddings": "texts and pictures to vectors; also OpenAI's and Titan's bodies",
    "POST /rank": "candidates by similarity to queries, texts and pictures on both sides",
    "POST /classify": "zero-shot labels for pictures",
    "POST /v1/embeddings": "as OpenAI's clients call it; GET /v1/models",
    "POST /v2/embed": "as Cohere's clients call it",
    "POST /embed": "as Text Embeddings Inference; GET /info",
    "POST /vectorize": "as Weaviate's multi2vec-clip container; GET /meta",
    "GET /health": "200 when ready",
    "GET /docs": "this API, to read and try",
}


def add_about(app: FastAPI, service: Service, settings: Settings) -> None:
    """Add the routes that answer without embedding anything."""

    async def index(request: Request) -> Response:
        if wants_page(request):
            return await run_in_threadpool(index_page, request)
        try:
            status, model = "ready", _model(service.ready(), settings)
        except NotReady:
            status, model = "loading", {}
        answer = _json(
            {
                "name": "openclip-serverless",
                "version": __version__,
                "status": status,
                **model,
                "endpoints": ENDPOINTS,
            }
        )
        answer.headers["vary"] = "accept"
        return answer

    async def health(_: Request) -> Response:
        return _json({"status": "ok", **_model(service.ready(), settings)})

    async def ping(_: Request) -> Response:
        embedder = service.ready()
        if embedder.batcher is not None and (reason := embedder.batcher.ailing()) is not None:
            from handler.sagemaker import recover

            await recover(embedder, reason)
        return Response(status_code=200)

    async def alive(_: Request) -> Response:
        return Response(status_code=204)

    async def well(_: Request) -> Response:
        service.ready()
        return Response(status_code=204)

    async def models(_: Request) -> Response:
        from handler.schemas.openai import models

        return _json(models(service.ready().manifest))

    async def model(request: Request) -> Response:
        from handler.schemas.openai import model

        return _json(model(service.ready().manifest, request.path_params["name"]))

    async def info(_: Request) -> Response:
        from handler.schemas.tei import info

        return _json(info(service.ready().manifest, settings))

    async def meta(_: Request) -> Response:
        from handler.schemas.weaviate import meta

        return _json(meta(service.ready().manifest))

    routes: dict[str, Callable[[Request], Any]] = {
        "/": index,
        "/health": health,
        "/ping": ping,
        "/.well-known/live": alive,
        "/.well-known/ready": well,
        "/v1/models": models,
        "/v1/models/{name:path}": model,
        "/info": info,
        "/meta": meta,
    }
    for path, answer in routes.items():
        app.add_route(path, answer, ["GET"])  # HEAD comes with it


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
        "logit_scale": manifest.logit_scale,
        "logit_bias": manifest.logit_bias,
    }


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
