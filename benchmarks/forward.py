"""The engine alone, no HTTP and no decoding: rows a second in batches of a size.

`python -m benchmarks.forward` loads what the environment names and answers lines of
`text|image ROWS SECONDS` with rows a second; before that it tells the device's name.
"""

import json
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.children import READY
from benchmarks.clients import texts
from handler.call import Call
from handler.embedder import Embedder
from handler.locate import find_or_bake
from handler.settings import load_settings


def main() -> None:
    """Run what the lines on stdin ask for."""
    settings = load_settings().model_copy(update={"max_batch": 0})
    model = Embedder(find_or_bake(settings), settings)
    model.warm_up()
    engine, spec = model._engine, model.manifest.preprocess  # noqa: SLF001  nothing around it
    tokens = model.tokenizer(texts()).tokens
    rng = np.random.default_rng(0)
    print(READY + json.dumps({"device": _device(settings.device)}), flush=True)
    for line in sys.stdin:
        kind, rows, seconds = line.split()
        count = int(rows)
        batches: list[NDArray[Any]]
        encode: Callable[[NDArray[Any], Call], NDArray[np.float32]]
        if kind == "text":  # of many lengths, as they are when serving
            ordered = tokens[list(islice(cycle(range(len(tokens))), count * 16))]
            batches, encode = list(np.split(ordered, 16)), engine.encode_text
        else:
            batches = [rng.random((count, 3, spec.height, spec.width), np.float32)]
            encode = engine.encode_image
        runs = cycle(batches)
        for batch in islice(runs, 3):
            encode(batch, Call())
        done = 0
        started = time.perf_counter()
        while (taken := time.perf_counter() - started) < float(seconds):
            encode(next(runs), Call())
            done += count
        print(READY + json.dumps(done / taken), flush=True)


def _device(name: str) -> str:
    if name != "cuda":
        return ""
    import torch

    return str(torch.cuda.get_device_name())


if __name__ == "__main__":
    main()
