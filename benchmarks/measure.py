"""The measurements: plain and ours in turn, in one run on one machine."""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest

from benchmarks import inputs
from benchmarks.model import MODEL, Model
from benchmarks.processes import Child, drop_page_cache, running, serving
from handler.cpus import MB_PER_VCPU, available_cpus
from tools.rie import Rie, binary

PAUSE: Final = 0.3
"""Seconds between blocks: engines' threads spin for a while after their last work."""
COUNT: Final = 20
CHOICES: Final = ("PRECISION", "THREADS", "LOG_LEVEL")
"""Settings of ours that a run may be given from outside; the report names them."""


@dataclass
class Results:
    """Samples under names such as "http short plain", and what could not be measured."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """Where everything lies, and how to report progress."""

    work: Path
    model: Model
    pictures: dict[str, Path]
    say: Callable[[str], None]

    def environ(self, kind: str) -> dict[str, str]:
        """Return the environment variables of one side."""
        files = {
            "BENCH_SMALL": str(self.pictures["small"]),
            "BENCH_LARGE": str(self.pictures["large"]),
        }
        if kind == "plain":
            return {
                **files,
                "MODEL_NAME": MODEL,
                "MODEL_PRETRAINED": str(self.model.checkpoint),
            }
        return {**files, "BUNDLE_DIR": str(self.model.bundle)}

    def log(self, name: str) -> Path:
        """Return where a child's complaints go."""
        return self.work / f"{name}.log"


def starts(bench: Bench, count: int, results: Results) -> None:
    """Time spawn → first text and image vector, page cache warm, then dropped."""
    for cache in ("warm", "dropped"):
        for number in range(-1 if cache == "warm" else 0, count):  # -1 fills the cache
            bench.say(f"starts, page cache {cache}: {max(number + 1, 0)} of {count}")
            for kind in ("plain", "embedder", "lambda"):
                if cache == "dropped" and (reason := drop_page_cache()):
                    results.notes.append(reason)
                    return
                found = _start(bench, kind)
                if number >= 0:
                    for name, value in found.items():
                        results.samples[f"start {cache} {kind} {name}"].append(value)


def _start(bench: Bench, kind: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.children", kind]
    started = time.perf_counter()
    with running(command, bench.environ(kind), bench.log(f"start-{kind}")) as child:
        account: dict[str, float] = child.answer()
        return {"s": time.perf_counter() - started, **account}


@dataclass(frozen=True)
class Case:
    """One comparison: plain knows no lists, so it gets `items` requests where ours gets one."""

    name: str
    ours: list[dict[str, Any]]
    plain: list[dict[str, Any]] | None
    items: int = 1


def cases(pictures: dict[str, Path]) -> list[Case]:
    """Return what is sent over HTTP."""
    small, large = inputs.encoded(pictures["small"]), inputs.encoded(pictures["large"])
    batch = [inputs.encoded(path) for name, path in pictures.items() if name.startswith("batch")]
    return [
        Case("short", [{"text": inputs.SHORT}], [{"text": inputs.SHORT}]),
        Case("long", [{"text": inputs.LONG}], [{"text": inputs.LONG}]),
        Case("small", [{"image": small}], [{"image": small}]),
        Case("large", [{"image": large}], [{"image": large}]),
        Case("large fast", [{"image": large, "decode": "fast"}], None),
        Case("texts", [{"text": inputs.TEXTS}], [{"text": text} for text in inputs.TEXTS], 16),
        Case("images", [{"image": batch}], [{"image": image} for image in batch], 16),
    ]


def http(bench: Bench, rounds: int, results: Results) -> None:
    """Time requests over HTTP, then compare the vectors they brought."""
    vectors: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
    with (
        serving(["benchmarks.plain"], "/", bench.environ("plain"), bench.log("plain")) as plain,
        serving(
            ["handler.cli", "serve"], "/health", bench.environ("ours"), bench.log("ours")
        ) as ours,
    ):
        everything = cases(bench.pictures)
        for number in range(rounds):
            for case in everything:
                bench.say(f"HTTP, round {number + 1} of {rounds}: {case.name}")
                count = 10 if case.items == 1 else 2
                for side, client, bodies in (
                    ("plain", plain, case.plain),
                    ("ours", ours, case.ours),
                ):
                    if bodies is None:
                        continue
                    posts = [json.dumps(body).encode() for body in bodies]
                    key = f"{case.name} {side}"
                    if number == 0:  # the first of a shape packs weights: not a request's cost
                        _rows(client, posts)
                        vectors[key] = _rows(client, posts)
                    results.samples[f"http {key}"] += _block(client, posts, count)
    for case in everything:
        mine = vectors[f"{case.name} ours"]
        reference = vectors[f"{case.name.removesuffix(' fast')} plain"]
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(reference, axis=1)
        results.samples[f"cosine {case.name}"] = ((mine * reference).sum(axis=1) / lengths).tolist()


def _block(client: httpx.Client, posts: list[bytes], count: int) -> list[float]:
    """Return the milliseconds of `count` times all posts, after one that is not counted."""
    time.sleep(PAUSE)
    times = []
    for _ in range(count + 1):
        started = time.perf_counter()
        for post in posts:
            answer = _post(client, post)
        times.append((time.perf_counter() - started) * 1000)
        answer.raise_for_status()
    return times[1:]


def _rows(client: httpx.Client, posts: list[bytes]) -> np.ndarray[Any, np.dtype[np.float64]]:
    answers = [_post(client, post) for post in posts]
    return np.concatenate([np.array(a.raise_for_status().json()["embeddings"]) for a in answers])


def overhead(bench: Bench, rounds: int, results: Results) -> None:
    """Time one short text in process, over HTTP and through Lambda's emulator, in turn."""
    environ = bench.environ("ours")
    direct = json.dumps({"text": inputs.SHORT}).encode()
    rest = json.dumps(inputs.rest_event({"text": inputs.SHORT})).encode()
    with ExitStack() as stack:
        command = [sys.executable, "-m", "benchmarks.children", "parts"]
        parts: Child = stack.enter_context(running(command, environ, bench.log("parts")))
        parts.answer()
        ours = stack.enter_context(
            serving(["handler.cli", "serve"], "/health", environ, bench.log("ours"))
        )
        emulator = _emulator(bench, results)
        if emulator is not None:
            stack.enter_context(emulator)
        for number in range(rounds):
            bench.say(f"one short text taken apart, round {number + 1} of {rounds}")
            _pairs(results, "http", lambda: _post(ours, direct))
            for _ in range(COUNT):
                started = time.perf_counter()
                ours.get("/health")
                results.samples["health"].append((time.perf_counter() - started) * 1000)
            time.sleep(PAUSE)
            for name, values in parts.answer(str(COUNT)).items():
                results.samples[f"parts {name}"] += values
            if emulator is not None:
                for name, event in (("direct", direct), ("rest", rest)):
                    _pairs(results, f"rie {name}", partial(emulator.invoke, event))


def _emulator(bench: Bench, results: Results) -> Rie | None:
    """Start Lambda's emulator, or note why there is none."""
    try:
        binary()
    except pytest.fail.Exception as error:
        results.notes.append(f"no Lambda rows: {error.msg}")
        return None
    # The memory decides the number of threads: as many as the other rows have.
    memory = str(MB_PER_VCPU * available_cpus())
    chosen = {name: os.environ[name] for name in CHOICES if name in os.environ}
    return Rie(BUNDLE_DIR=str(bench.model.bundle), AWS_LAMBDA_FUNCTION_MEMORY_SIZE=memory, **chosen)


def _pairs(results: Results, name: str, call: Callable[[], httpx.Response]) -> None:
    """Time calls as a client sees them, and less what each answer says it took."""
    time.sleep(PAUSE)
    for number in range(-2, COUNT):
        started = time.perf_counter()
        response = call()
        took = (time.perf_counter() - started) * 1000
        answer = response.json()
        body = json.loads(answer["body"]) if "body" in answer else answer
        if "embeddings" not in body:
            raise RuntimeError(f"{name} answered {response.text[:500]}")
        if number >= 0:
            results.samples[name].append(took)
            results.samples[f"{name} outside"].append(took - body["duration"] * 1000)


def _post(client: httpx.Client, body: bytes) -> httpx.Response:
    return client.post("/embeddings", content=body, headers={"content-type": "application/json"})
