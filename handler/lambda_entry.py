"""The Lambda entry: the model is loaded and warm when this module's import returns.

`handler` answers API Gateway (REST v1, HTTP v2), Function URL and ALB events, and a bare native
request such as {"text": "red sofa"}. Loading runs beside the imports of the web framework: it is
C++ that leaves the interpreter free, and each takes about a third of the cold start.
"""

import itertools
import sys
import time

_STARTED = time.perf_counter()

from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from handler.embedder import Embedder  # noqa: E402
from handler.engines import import_engine  # noqa: E402
from handler.errors import SetupError  # noqa: E402
from handler.locate import find_bundle  # noqa: E402
from handler.settings import load_settings  # noqa: E402


def _load() -> tuple[Embedder, float, float]:
    """Return the model with the seconds its load and its warm-up took."""
    started = time.perf_counter()
    bundle = find_bundle(_settings)
    if bundle is None:
        raise SetupError(
            f"this image holds no bundle for MODEL_NAME={_settings.model_name}; "
            "bake it in and set BUNDLE_DIR"
        )
    embedder = Embedder(bundle, _settings)
    loaded = time.perf_counter()
    embedder.warm_up()
    return embedder, loaded - started, time.perf_counter() - loaded


_settings = load_settings()
import_engine(_settings.engine)  # here, or the two threads would fight over the interpreter
_loading = ThreadPoolExecutor(1, thread_name_prefix="load").submit(_load)
_own_imports = time.perf_counter() - _STARTED

import orjson  # noqa: E402

from handler.app import create_app  # noqa: E402
from handler.emf import metric_line  # noqa: E402
from handler.events import Dispatcher, LambdaContext  # noqa: E402
from handler.frame import Record  # noqa: E402

_imports = time.perf_counter() - _STARTED
_embedder, _load_seconds, _warm_seconds = _loading.result()
_requests = itertools.count(-1)  # the first is our own


def _observe(record: Record) -> None:
    number = next(_requests)
    if number >= 0:
        model, namespace = _embedder.manifest.model_id, _settings.metrics_namespace
        sys.stdout.write(metric_line(record, namespace, model, cold=number == 0) + "\n")


_RED_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


class _Warming:
    aws_request_id = "init"


_dispatch = Dispatcher(create_app(lambda: _embedder, _settings, _observe), _settings)
# One request through the whole path: threads, event loop and serialisers are then warm too.
_dispatch({"image": _RED_PIXEL} if _settings.towers == "image" else {"text": "warm"}, _Warming())

sys.stdout.write(
    orjson.dumps(
        {
            "message": "init",
            "model": _embedder.manifest.model_id,
            "space": _embedder.default_space,
            "engine": _embedder.manifest.engine,
            "ms": {
                "own_imports": round(_own_imports * 1000, 1),
                "all_imports": round(_imports * 1000, 1),
                "load": round(_load_seconds * 1000, 1),
                "warm_up": round(_warm_seconds * 1000, 1),
                "total": round((time.perf_counter() - _STARTED) * 1000, 1),
            },
        }
    ).decode()
    + "\n"
)


def handler(event: object, context: LambdaContext) -> object:
    """Answer one Lambda event."""
    return _dispatch(event, context)
