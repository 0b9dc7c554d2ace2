"""The long-running server: uvicorn, ready only when the model is."""

import logging
import signal
import sys
import threading
import time
from typing import Final

import orjson
import uvicorn

from handler.app import create_app
from handler.batching import ObserveBatch
from handler.embedder import Embedder
from handler.errors import SetupError
from handler.frame import Record
from handler.locate import find_or_bake
from handler.metrics import Metrics, add_metrics
from handler.sagemaker import add_sagemaker
from handler.settings import Settings

log = logging.getLogger("openclip")

CPU_BATCH: Final = 16
GPU_BATCH: Final = 64
"""MAX_BATCH of a server where none is set (docs/batching.md has the measurements)."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished first.

    The port is open at once and /health says 503 until the model is loaded and warm, so a bake
    with its download can take its time without looking dead.

    Raises:
        SetupError: the model cannot be loaded, or the port cannot be bound.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if settings.max_batch is None:
        batch = GPU_BATCH if settings.device == "cuda" else CPU_BATCH
        settings = settings.model_copy(update={"max_batch": batch})
    metrics = Metrics()
    loader = Loader(settings, lambda tower, rows, _: metrics.observe_batch(tower, rows))
    metrics.queue.set_function(loader.queued)

    def observe(record: Record) -> None:
        log_request(record)
        metrics.observe(record)

    app = create_app(loader.embedder, settings, observe)
    add_metrics(app, metrics)
    add_sagemaker(app, settings)
    metrics.ready.set_function(lambda: loader.embedder() is not None)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        root_path=settings.root_path,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    server = uvicorn.Server(config)
    loader.start(server)
    # uvicorn finishes its work on SIGTERM, then raises it again: ending well is not dying of it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that it could not bind; it has logged why
        raise SetupError(
            f"cannot listen on {settings.host}:{settings.port}; choose another with PORT"
        ) from None
    except KeyboardInterrupt:
        pass
    if (embedder := loader.embedder()) is not None:
        embedder.close()
    if loader.failure is not None:
        raise loader.failure


class Loader:
    """Loads the model beside the running server."""

    def __init__(self, settings: Settings, observe_batch: ObserveBatch) -> None:
        self._settings = settings
        self._observe_batch = observe_batch
        self._embedder: Embedder | None = None
        self.failure: SetupError | None = None

    def embedder(self) -> Embedder | None:
        """Return the model once it is warm."""
        return self._embedder

    def queued(self) -> int:
        """Return the rows that wait for the engine."""
        if self._embedder is None or self._embedder.batcher is None:
            return 0
        return sum(lane.queued for lane in self._embedder.batcher.statistics().values())

    def start(self, server: uvicorn.Server) -> None:
        """Load in a thread of its own; a failure stops the server."""
        threading.Thread(target=self._load, args=(server,), name="load", daemon=True).start()

    def _load(self, server: uvicorn.Server) -> None:
        started = time.perf_counter()
        try:
            bundle = find_or_bake(self._settings)
            embedder = Embedder(bundle, self._settings, observe_batch=self._observe_batch)
            embedder.warm_up()
        except SetupError as error:
            self.failure = error
        except Exception as error:
            log.exception("loading the model failed")
            self.failure = SetupError(f"loading the model failed: {error}")
        else:
            self._embedder = embedder
            manifest = embedder.manifest
            print(  # noqa: T201  the startup line is for a person, log level or not
                f"{manifest.model_id} ({manifest.model_name}, space {embedder.default_space}, "
                f"{manifest.dim} dimensions, {manifest.engine} on {embedder.device}) ready in "
                f"{time.perf_counter() - started:.1f} s on "
                f"http://{self._settings.host}:{self._settings.port}",
                file=sys.stderr,
                flush=True,
            )
            return
        server.should_exit = True


def log_request(record: Record) -> None:
    """Write one structured line a request; nothing of its content."""
    log.info(
        orjson.dumps(
            {
                "request_id": record.request_id,
                "method": record.method,
                "path": record.path,
                "status": record.status,
                "code": record.code,
                "texts": record.texts,
                "images": record.images,
                "ms": round(record.seconds * 1000, 2),
                "stages": {k: round(v * 1000, 2) for k, v in record.call.seconds.items()},
            }
        ).decode()
    )
