"""The tuning table: the Lambda image at several memory sizes, in a real Docker engine.

`python -m benchmarks.container --checkpoint FILE [--markdown FILE]` builds `Dockerfile.lambda` with
a full-size ViT-B-32 (random weights cost what trained ones do) on the stand-in base image and runs
it with Lambda's limits: memory, and the CPU share that goes with it, as far as this machine has it.
"""

import argparse
import base64
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks import inputs
from handler.cpus import MB_PER_VCPU, available_cpus
from tools.docker_engine import INVOKE, LAMBDA_LIMITS, ROOT, Engine
from tools.rie import binary

TAG = "openclip-lambda:vit-b-32"
REPEATS = 15
GB_SECOND, REQUEST = 0.0000166667, 0.20 / 1e6
"""USD, x86 in us-east-1, autumn 2026: check AWS's page. The front door is not included."""
PRECISIONS = ("f32", "bf16")
MEMORY = (1769, 3008, 5307, 10240)


def build(engine: Engine, checkpoint: Path) -> float:
    """Build the image with a checkpoint from the build context; return its size in MB."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder) / "context"
        left_out = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "benchmarks")
        shutil.copytree(ROOT, context, ignore=left_out)
        shutil.copy(ROOT / ".dockerignore", context)
        shutil.copy(checkpoint, context / "models" / "vit-b-32.pt")
        engine.build(
            context,
            "Dockerfile.lambda",
            TAG,
            MODEL_NAME="ViT-B-32",
            MODEL_PRETRAINED="models/vit-b-32.pt",
            MODEL_ID="OpenCLIP-ViT-B-32-random",
        )
    return float(engine.inspect(TAG)["Size"]) / 1e6


def measure(engine: Engine, memory: int, precision: str) -> dict[str, Any]:
    """Return one row: seconds to the first vector, p50 in ms, peak MB."""
    cpus = min(memory / MB_PER_VCPU, available_cpus())
    options = [
        *LAMBDA_LIMITS,
        f"--memory={memory}m",
        f"--memory-swap={memory}m",
        f"--cpus={cpus:.2f}",
        f"-e=AWS_LAMBDA_FUNCTION_MEMORY_SIZE={memory}",
        f"-e=PRECISION={precision}",
    ]
    jpeg = base64.b64encode(inputs.picture(inputs.SMALL_SIZE, 1, 4.0)).decode()
    started = time.perf_counter()
    with engine.container(TAG, 8080, *options) as (identifier, client):
        engine.wait(client, identifier, "/")
        up = time.perf_counter()
        client.post(INVOKE, json={"text": "red sofa"})
        first = time.perf_counter()
        text = timed(client, {"text": "red sofa"})
        image = timed(client, {"image": jpeg})
        largest = "grep -h VmHWM /proc/[0-9]*/status | sort -k2n | tail -1"
        peak = engine.run("exec", identifier, "sh", "-c", largest)
    return {
        "memory": memory,
        "cpus": cpus,
        "precision": precision,
        "container": up - started,
        "init": first - up,
        "text": text,
        "image": image,
        "peak": int(peak.split()[1]) / 1024,
    }


def timed(client: httpx.Client, event: dict[str, str]) -> float:
    """Return the median of several invocations, in ms, after three that are not counted."""
    found = []
    for repeat in range(REPEATS + 3):
        started = time.perf_counter()
        client.post(INVOKE, json=event).raise_for_status()
        if repeat >= 3:
            found.append((time.perf_counter() - started) * 1000)
    return statistics.median(found)


def million(milliseconds: float, memory: int) -> float:
    """Return USD for a million requests, idle time free: GB-seconds plus the request itself."""
    return 1e6 * (milliseconds / 1000 * memory / 1024 * GB_SECOND + REQUEST)


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    engine = Engine(binary())
    size = build(engine, arguments.checkpoint)
    lines = [
        f"Image: {size:.0f} MB on the stand-in base.",
        "",
        "| memory, MB | CPUs | precision | init, s | text, ms | 640x480 JPEG, ms | peak, MB "
        "| $ per million texts | $ per million pictures |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for memory in MEMORY:
        for precision in PRECISIONS:
            row = measure(engine, memory, precision)
            lines.append(
                f"| {memory} | {row['cpus']:.2f} | {precision} | {row['init']:.2f} "
                f"| {row['text']:.1f} | {row['image']:.1f} | {row['peak']:.0f} "
                f"| {million(row['text'], memory):.2f} | {million(row['image'], memory):.2f} |"
            )
            print(lines[-1], flush=True)
    report = "\n".join(lines) + "\n"
    print(report)
    if arguments.markdown:
        arguments.markdown.write_text(report)


if __name__ == "__main__":
    main()
