"""OpenVINO on the CPU: the default engine, and the one a cold start is built around.

Five measured facts shape this module (docs/architecture.md has the figures):
- `import openvino` pulls in the model converter, which sends a telemetry event and takes 60 ms;
  serving never converts, so the converter is kept out.
- The token table is a third of ViT-B-32's text tower and a request needs a handful of its rows:
  it stays in a memory-mapped file, and the tower is fed embeddings.
- Weights lie on disk as f16 and are unpacked to f32 at the first inference. The mapped pages are
  then given back to the kernel, so f16 and f32 copies of one tower at most exist side by side.
- Compiling a network takes longer than loading it. The bake leaves compiled graphs without weights
  (0.7 MB each) for several instruction sets; OpenVINO itself refuses one that was made for another
  set or version than it finds, and then the network is compiled.
- Every new input shape costs tens of milliseconds, and some another copy of the weights in
  another layout: lengths are rounded up to multiples of 8 and batches split into powers of two.
"""

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handler.bundle import Bundle, TextSpec
from handler.call import Call
from handler.engines.compiled import load_network
from handler.engines.mapped import release_pages
from handler.engines.runtime import openvino
from handler.errors import InvalidRequest, SetupError
from handler.settings import Settings

TEXT_BATCH: Final = 32
IMAGE_BATCH: Final = 16
LENGTH_STEP: Final = 8


class OpenVinoEngine:
    """Both towers, or the one asked for, compiled at a pinned precision."""

    device = "cpu"
    image_batch = IMAGE_BATCH

    def __init__(self, bundle: Bundle, settings: Settings, threads: int) -> None:
        precision, towers = settings.precision, settings.towers
        core = openvino.Core()
        # Pinned, because OpenVINO picks bf16 by itself on CPUs with AMX and f32 elsewhere: a fleet
        # of mixed hosts would write two slightly different spaces into one index.
        config = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
        }
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in capabilities:
            raise SetupError("PRECISION=bf16 needs a CPU with bf16 instructions; use PRECISION=f32")
        spec = bundle.manifest.text
        self._spec: Final = spec
        self._dim: Final = bundle.manifest.dim
        self._table: NDArray[np.float16] | None = None
        if spec.inputs == "embeddings" and towers != "image":
            self._table = np.load(bundle.file("token_embedding.npy"), mmap_mode="r")
        self._towers: Final[dict[str, _Tower]] = {}
        names = ["image", "text"] if towers == "both" else [towers]
        loaders = [
            threading.Thread(target=self._load, args=(core, bundle, name, config), name=name)
            for name in names
        ]
        self._failures: list[Exception] = []
        for loader in loaders:
            loader.start()
        for loader in loaders:
            loader.join()
        if self._failures:
            raise SetupError(f"{bundle.path} cannot be loaded: {self._failures[0]}")

    def encode_text(self, tokens: NDArray[np.int64], call: Call) -> NDArray[np.float32]:
        """int64 (n, context_length) → float32 (n, dim); short texts run only as far as they go."""
        call.check()
        tower = self._tower("text")
        index = pooled_positions(tokens, self._spec)
        table = self._table
        if table is None:
            return _in_batches(TEXT_BATCH, len(tokens), lambda part: tower.run(tokens[part]))
        if not self._spec.trim:
            return _in_batches(
                TEXT_BATCH,
                len(tokens),
                lambda part: tower.run(table[tokens[part]].astype(np.float32), index[part]),
            )
        # Eight tokens of padding cost as much as a run of its own does, whatever its size: only
        # texts that are rounded to the same length share one.
        lengths = np.minimum(-(-(index + 1) // LENGTH_STEP) * LENGTH_STEP, tokens.shape[1])
        out = np.empty((len(tokens), self._dim), np.float32)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            embedded = table[tokens[rows, :length]].astype(np.float32)
            out[rows] = _in_batches(
                TEXT_BATCH,
                len(rows),
                lambda part, e=embedded, r=rows: tower.run(e[part], index[r][part]),
            )
        return out

    def encode_image(self, pixel_values: NDArray[np.float32], call: Call) -> NDArray[np.float32]:
        """float32 (n, 3, height, width) → float32 (n, dim)."""
        call.check()
        tower = self._tower("image")
        return _in_batches(
            IMAGE_BATCH, len(pixel_values), lambda part: tower.run(pixel_values[part])
        )

    def _tower(self, name: str) -> "_Tower":
        try:
            return self._towers[name]
        except KeyError:
            raise InvalidRequest(
                f"this deployment serves one tower only and has none for {name}s (TOWERS)",
                field=name,
                code="tower_not_loaded",
            ) from None

    def _load(self, core: Any, bundle: Bundle, name: str, config: dict[str, Any]) -> None:
        try:
            self._towers[name] = _Tower(core, bundle.file(f"{name}.xml"), config)
        except Exception as error:  # carried to the thread that waits, which raises it
            self._failures.append(error)


class _Tower:
    """One network, ready to run; calls are serialised, since each uses all the threads."""

    def __init__(self, core: Any, xml: Path, config: dict[str, Any]) -> None:
        self._weights: Final = xml.with_suffix(".bin")
        self._request = load_network(core, xml, config).create_infer_request()
        self._lock = threading.Lock()
        self._unpacked = False

    def run(self, *inputs: NDArray[Any]) -> NDArray[np.float32]:
        with self._lock:
            vectors = np.array(self._request.infer(list(inputs), share_inputs=True)[0], np.float32)
            if not self._unpacked:
                release_pages(self._weights)  # every weight has been copied by now
                self._unpacked = True
            return vectors


def pooled_positions(tokens: NDArray[np.int64], spec: TextSpec) -> NDArray[np.int64]:
    """Return int64 (n,): the position whose features become the text's vector."""
    match spec.pool:
        case "argmax":
            return np.asarray(tokens.argmax(axis=1), np.int64)
        case "eos":
            return np.asarray((tokens == spec.eos_id).argmax(axis=1), np.int64)
        case "first":
            return np.zeros(len(tokens), np.int64)
        case "last" | "tower":
            return np.full(len(tokens), tokens.shape[1] - 1, np.int64)


def _in_batches(limit: int, count: int, run: Any) -> NDArray[np.float32]:
    """Concatenate `run` over slices whose sizes are powers of two up to `limit`."""
    parts, start = [], 0
    while start < count:
        size = min(limit, 1 << ((count - start).bit_length() - 1))
        parts.append(run(slice(start, start + size)))
        start += size
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
