"""What runs in a process of its own: `python -m benchmarks.children KIND`.

`plain`, `embedder` and `lambda` start, make one picture vector and one text vector, and say so;
`parts` takes requests apart for as long as lines come in. Nothing is imported up here that the
started program would not import itself.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

READY = "READY "
TEXT = "red sofa"


def plain() -> None:
    """Start the predecessor's way."""
    import base64

    from benchmarks.plain import EmbeddingsRequest, create_app, load

    model = load()
    create_app(model)
    image = base64.b64encode(Path(os.environ["BENCH_SMALL"]).read_bytes()).decode()
    model.embed(EmbeddingsRequest(image=image))
    model.embed(EmbeddingsRequest(text=TEXT))


def embedder() -> None:
    """Start the embedder alone: no web framework, no warm-up."""
    from handler.embedder import Embedder
    from handler.items import Image, Options, Text
    from handler.locate import find_or_bake
    from handler.settings import load_settings

    settings = load_settings()
    model = Embedder(find_or_bake(settings), settings)
    # The picture first, as in the service's own warm-up: its peak of memory is the lower one.
    model.embed([Image(Path(os.environ["BENCH_SMALL"]).read_bytes())], Options())
    model.embed([Text(TEXT)], Options())


def lambda_entry() -> None:
    """Start as Lambda does: import the handler's module, then answer two events."""
    import base64

    from handler.lambda_entry import handler

    class Context:
        aws_request_id = "benchmark"

    image = base64.b64encode(Path(os.environ["BENCH_SMALL"]).read_bytes()).decode()
    for event in ({"image": image}, {"text": TEXT}):
        answer = handler(event, Context())
        if not (isinstance(answer, dict) and "embeddings" in answer):
            raise SystemExit(f"the handler answered {str(answer)[:300]}")


def parts() -> None:
    """For every line, a count, time each part of a request that often; answer in milliseconds."""
    import numpy as np

    from benchmarks.inputs import LONG, encoded
    from handler.call import Call
    from handler.embedder import Embedder
    from handler.images import load_image
    from handler.items import Image, Options, Text
    from handler.locate import find_or_bake
    from handler.preprocess import preprocess
    from handler.schemas import native
    from handler.schemas.contract import Arrived, Served
    from handler.schemas.fields import parse
    from handler.settings import load_settings

    settings = load_settings()
    bundle = find_or_bake(settings)
    model = Embedder(bundle, settings)
    model.warm_up()
    engine = model._engine  # noqa: SLF001  a second engine's threads would disturb this one's
    manifest, options = bundle.manifest, Options()
    served = Served(manifest, settings, model.device)
    payload = {"text": TEXT}
    body = json.dumps(payload).encode()
    wanted = native.decode(Arrived(body), payload, served)
    large = Path(os.environ["BENCH_LARGE"]).read_bytes()
    tokens = model.tokenizer([TEXT]).tokens
    found = model.embed([Text(TEXT)], options)
    spec, pixels = manifest.preprocess, settings.max_pixels
    quick: dict[str, Callable[[], object]] = {
        "read request": lambda: native.decode(Arrived(body), parse(body), served),
        "tokenise": lambda: model.tokenizer([TEXT]),
        "encode_text": lambda: engine.encode_text(tokens, Call()),
        "embed": lambda: model.embed([Text(TEXT)], options),
        "write answer": lambda: native.encode(found, wanted, served, 0.0),
    }
    slow: dict[str, Callable[[], object]] = {
        "pixels exact": lambda: preprocess(load_image(large, "image", max_pixels=pixels), spec),
        "pixels fast": lambda: preprocess(
            load_image(large, "image", max_pixels=pixels, fast_for=spec), spec
        ),
    }
    pictures = sorted(Path(os.environ["BENCH_SMALL"]).parent.glob("batch*.jpg"))[:16]
    batch = json.dumps({"image": [encoded(path) for path in pictures]}).encode()

    def embed_batch() -> None:
        asked = native.decode(Arrived(batch), parse(batch), served)
        items = [item for item in asked.items if isinstance(item, Image)]
        native.encode(model.embed(items, asked.options), asked, served, 0.0)

    loaded = [load_image(p.read_bytes(), "image", max_pixels=pixels) for p in pictures]
    values = np.stack([preprocess(image, spec) for image in loaded])
    paired: dict[str, Callable[[], object]] = {  # in turn: their ratio is what is asked for
        "engine 16": lambda: engine.encode_image(values, Call()),
        "request 16": embed_batch,
    }
    many = model.embed([Text(f"text {index}") for index in range(64)], options)
    quick["write 64"] = lambda: native.encode(many, wanted, served, 0.0)
    model.embed([Text(LONG), Image(large)], options)
    print(READY, flush=True)
    for line in sys.stdin:
        times: dict[str, list[float]] = {}
        seldom = max(int(line) // 8, 1)
        for calls, count in ((quick, int(line)), (slow, seldom)):
            for name, call in calls.items():
                call()
                times[name] = [_milliseconds(call) for _ in range(count)]
        for _ in range(1 + seldom):
            for name, call in paired.items():
                times.setdefault(name, []).append(_milliseconds(call))
        print(READY + json.dumps(times), flush=True)


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def _account() -> dict[str, float]:
    """Return this process's peak resident memory and bytes read from disk, where Linux tells."""
    found: dict[str, float] = {}
    for path, name, key, scale in (
        ("/proc/self/status", "VmHWM:", "peak MB", 1024 / 1e6),
        ("/proc/self/io", "read_bytes:", "read MB", 1e-6),
    ):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        values = [int(line.split()[1]) for line in lines if line.startswith(name)]
        if values:
            found[key] = values[0] * scale
    return found


KINDS: dict[str, Callable[[], None]] = {
    "plain": plain,
    "embedder": embedder,
    "lambda": lambda_entry,
}

if __name__ == "__main__":
    if sys.argv[1] == "parts":
        parts()
    else:
        KINDS[sys.argv[1]]()
        print(READY + json.dumps(_account()), flush=True)
        os._exit(0)  # how long a process takes to end is nobody's waiting time
