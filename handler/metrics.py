"""What a server tells Prometheus at /metrics; nothing of any request's content."""

from typing import Final

from fastapi import FastAPI, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from handler.frame import Record
from handler.routes import EMBEDDING_PATHS

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One process's counters, in a registry of their own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry: Final = registry
        self._requests: Final = Counter(
            "openclip_requests", "Requests answered", ["path", "status"], registry=registry
        )
        self._errors: Final = Counter(
            "openclip_errors", "Requests refused or failed", ["code"], registry=registry
        )
        self._items: Final = Counter(
            "openclip_items", "Texts and pictures asked for", ["kind"], registry=registry
        )
        self._latency: Final = Histogram(
            "openclip_request_seconds",
            "Whole request",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages: Final = Histogram(
            "openclip_stage_seconds",
            "Part of a request: decode the body, fetch pictures, embed, encode the answer",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches: Final = Histogram(
            "openclip_batch_rows",
            "Rows the engine ran together",
            ["tower"],
            buckets=_ROWS,
            registry=registry,
        )
        self.queue: Final = Gauge(
            "openclip_queue_rows", "Rows waiting for the engine", registry=registry
        )
        self.ready: Final = Gauge("openclip_ready", "1 once the model answers", registry=registry)

    def observe(self, record: Record) -> None:
        """Count one request."""
        # Made-up paths are one label, or a stranger could fill the memory with labels.
        path = record.path if record.path in EMBEDDING_PATHS else "other"
        self._requests.labels(path, str(record.status)).inc()
        self._latency.labels(path).observe(record.seconds)
        if record.code is not None:
            self._errors.labels(record.code).inc()
        self._items.labels("text").inc(record.texts)
        self._items.labels("image").inc(record.images)
        for stage, seconds in record.call.seconds.items():
            self._stages.labels(stage).observe(seconds)

    def observe_batch(self, tower: str, rows: int) -> None:
        """Count one run of the engine."""
        self._batches.labels(tower).observe(rows)


def add_metrics(app: FastAPI, metrics: Metrics) -> None:
    """Add GET /metrics."""

    async def answer(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.add_route("/metrics", answer, ["GET"])
