"""Measure many clients at once: `python -m benchmarks.load`.

In turn, on loopback: the server without batching, the server with it, the engine alone. On a
machine with a GPU:

    python -m benchmarks.load --engine torch --device cuda --precision bf16 \
        --models ViT-B-32,ViT-L-14,ViT-H-14
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
from rich.console import Console

from benchmarks import model as models
from benchmarks.processes import machine, running, serving
from benchmarks.report import percentile
from benchmarks.serving import WORK
from handler.server import CPU_BATCH, GPU_BATCH

CLIENTS: Final = (1, 8, 64)
KINDS: Final = ("text", "image")
NAMES: Final = {"text": "texts", "image": "pictures"}
COLUMNS: Final = (
    *("what", "clients", "one by one", "batched", "gain", "p50 p95 p99 one by one"),
    *("p50 p95 p99 batched", "rows a batch", "of the engine's"),
)


@dataclass
class Load:
    """What many clients saw: rows a second, latencies in ms, and how often so many rows ran."""

    rate: float
    latencies: list[float]
    refused: int
    runs: dict[str, float]
    """Batches by the upper bound of their size."""
    rows: float

    def spread(self) -> str:
        """Return p50, p95 and p99 in milliseconds."""
        return " ".join(f"{percentile(self.latencies, rank):.1f}" for rank in (50, 95, 99))

    def mean(self) -> float:
        """Return rows a run."""
        return self.rows / max(sum(self.runs.values()), 1)


@dataclass
class Measured:
    """One model's figures."""

    name: str
    device: str = ""
    raw: dict[str, dict[int, float]] = field(default_factory=dict)
    """Rows a second of the engine alone, by kind and rows a batch."""
    loads: dict[tuple[str, str, int], Load] = field(default_factory=dict)
    """By server ("single" or "batched"), kind and clients."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--models", default=models.MODEL, help="architectures, comma-separated")
    parser.add_argument("--engine", choices=("openvino", "torch"), default="openvino")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("f32", "bf16", "f16"), default="f32")
    parser.add_argument("--max-batch", type=int, help="default: the server's own")
    parser.add_argument("--wait-ms", type=float, help="BATCH_WAIT_MS")
    parser.add_argument("--seconds", type=float, default=10.0, help="a measurement takes so long")
    parser.add_argument("--quick", action="store_true", help="2 seconds each")
    parser.add_argument("--work", type=Path, default=WORK, help="folder kept between runs")
    parser.add_argument("--markdown", type=Path, help="write the tables here, too")
    parser.add_argument("--json", type=Path, help="write every latency here")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = arguments.work.expanduser()
    work.mkdir(parents=True, exist_ok=True)
    seconds = 2.0 if arguments.quick else max(arguments.seconds, 1.0)
    batch = arguments.max_batch or (GPU_BATCH if arguments.device == "cuda" else CPU_BATCH)
    environ = {
        "ENGINE": arguments.engine,
        "DEVICE": arguments.device,
        "PRECISION": arguments.precision,
        "LOG_LEVEL": "warning",
        "MAX_BATCH": str(batch),
    }
    if arguments.wait_ms is not None:
        environ["BATCH_WAIT_MS"] = str(arguments.wait_ms)
    console = Console(stderr=True)
    here, found = machine(), []
    for name in arguments.models.split(","):
        with console.status(name) as status:
            found.append(measure(name, environ, work, seconds, status.update))
    text = markdown(here, environ, found, seconds)
    print(text)
    if arguments.markdown is not None:
        arguments.markdown.write_text(text)
    if arguments.json is not None:
        told = [{"model": m.name, "raw": m.raw, "loads": _plain(m)} for m in found]
        arguments.json.write_text(json.dumps({"machine": here, "models": told}, indent=1))


def measure(name: str, environ: dict[str, str], work: Path, seconds: float, tell: Any) -> Measured:
    """Measure one model, baked from random weights if need be (the shipped one is as it is)."""
    settings = {**environ, "MODEL_NAME": name}
    if name != "shapes-tiny":
        tell(f"{name}: random weights and bundle")
        engine: models.EngineName = "torch" if environ["ENGINE"] == "torch" else "openvino"
        settings["BUNDLE_DIR"] = str(models.prepare(work, name, engine).bundle)
    found = Measured(name)
    forward = [sys.executable, "-m", "benchmarks.forward"]
    largest = int(environ["MAX_BATCH"])
    with (
        running(forward, settings, work / "forward.log") as child,
        _served(settings | {"MAX_BATCH": "0"}, work, "single") as single,
        _served(settings, work, "batched") as batched,
    ):
        found.device = child.answer()["device"]
        # All three are there all the time and are measured in turn: what else the machine does
        # then hits each of them alike.
        for kind in KINDS:
            for count in CLIENTS:
                for server, (client, clients) in (("single", single), ("batched", batched)):
                    tell(f"{name}: {server}, {kind}, {count} clients")
                    found.loads[server, kind, count] = _load(client, clients, kind, count, seconds)
                rows = 1 if count == 1 else largest
                tell(f"{name}: the engine alone, {kind} by {rows}")
                rate = child.answer(f"{kind} {rows} {seconds}")
                best = found.raw.setdefault(kind, {})
                best[rows] = max(rate, best.get(rows, 0.0))
    return found


@contextmanager
def _served(environ: dict[str, str], work: Path, name: str) -> Iterator[tuple[httpx.Client, Any]]:
    log = work / f"server-{name}.log"
    with serving(["handler.cli", "serve"], "/health", environ, log) as client:
        command = [sys.executable, "-m", "benchmarks.clients", str(client.base_url.port), str(work)]
        with running(command, {}, work / f"clients-{name}.log") as clients:
            clients.answer()
            yield client, clients


def _load(client: httpx.Client, clients: Any, kind: str, count: int, seconds: float) -> Load:
    before = _batches(client, kind)
    told = clients.answer(f"{kind} {count} {seconds}")
    after = _batches(client, kind)
    if not told["ms"]:
        raise RuntimeError(f"nothing was answered ({told['refused']} refused)")
    new = {bound: after[bound] - before.get(bound, 0) for bound in after}
    rows = new.pop("rows", 0.0)
    below = 0.0
    runs = {}
    for bound, total in new.items():  # Prometheus counts what is at most so large
        runs[bound] = total - below
        below = total
    return Load(
        len(told["ms"]) / told["seconds"],
        told["ms"],
        told["refused"],
        {bound: number for bound, number in runs.items() if number},
        rows,
    )


def _batches(client: httpx.Client, kind: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in client.get("/metrics").text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("openclip_batch_rows_bucket{") and f'tower="{kind}"' in name:
            found[name.partition('le="')[2].partition('"')[0]] = float(value)
        elif name == f'openclip_batch_rows_sum{{tower="{kind}"}}':
            found["rows"] = float(value)
    return found


def markdown(
    here: dict[str, str], environ: dict[str, str], found: list[Measured], seconds: float
) -> str:
    """Return the tables."""
    devices = {m.device for m in found if m.device}
    lines = [", ".join([*(f"{name} {value}" for name, value in here.items()), *sorted(devices)])]
    for one in found:
        title = f"{one.name}, {environ['ENGINE']} on {environ['DEVICE']}, {environ['PRECISION']}"
        lines += ["", f"### {title}, MAX_BATCH={environ['MAX_BATCH']}", "", _row(COLUMNS)]
        lines.append(_row(("---",) * len(COLUMNS)))
        lines += [_row(_cells(one, kind, count)) for kind in KINDS for count in CLIENTS]
        lines += ["", *(f"- {goal}" for goal in _goals(one))]
        for kind in KINDS:
            runs = one.loads["batched", kind, CLIENTS[-1]].runs
            told = ", ".join(f"≤ {bound}: {number:.0f}" for bound, number in runs.items())
            lines.append(f"- Batches of {NAMES[kind]} at {CLIENTS[-1]} clients: {told}")
    lines += ["", f"{seconds:g} s a cell; rates in rows a second, latencies in ms."]
    return "\n".join(lines) + "\n"


def _cells(one: Measured, kind: str, count: int) -> tuple[str, ...]:
    single, batched = one.loads["single", kind, count], one.loads["batched", kind, count]
    best = max(one.raw[kind].values())
    refused = f", {batched.refused} refused" if batched.refused else ""
    return (
        *(NAMES[kind], str(count), f"{single.rate:.1f}", f"{batched.rate:.1f}{refused}"),
        *(f"{batched.rate / single.rate:.2f}×", single.spread(), batched.spread()),
        *(f"{batched.mean():.1f}", f"{batched.rate / best:.0%}"),
    )


def _goals(one: Measured) -> Iterator[str]:
    for kind in KINDS:
        each = ", ".join(f"{rate:.1f} in batches of {n}" for n, rate in one.raw[kind].items())
        share = one.loads["batched", kind, CLIENTS[-1]].rate / max(one.raw[kind].values())
        met = "met" if share >= 0.9 else "not met"
        yield f"The engine alone, {NAMES[kind]} a second: {each}; goal ≥ 90 % of it at 64: {met}"
        medians = [median(one.loads[server, kind, 1].latencies) for server in ("batched", "single")]
        added = medians[0] - medians[1]
        met = "met" if added <= 3 else "not met"
        yield f"Batching adds {added:.2f} ms to a lone request for {NAMES[kind]} (≤ 3 ms: {met})"


def _plain(one: Measured) -> list[dict[str, Any]]:
    return [
        {"server": server, "kind": kind, "clients": count, **vars(load)}
        for (server, kind, count), load in one.loads.items()
    ]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
