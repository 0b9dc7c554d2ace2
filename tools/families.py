"""Bake one architecture of every family with random weights and tell how it went.

    python -m tools.families [--only NAME …] [--markdown PATH]

Weights cannot make an architecture exportable or not, so random ones prove as much as trained
ones, without a download. Each family runs in a process of its own: its memory is given back, and
one that is killed does not end the others.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

FAMILIES: Final = (
    "ViT-S-32-alt",
    "ViT-B-32",
    "ViT-B-32-quickgelu",
    "ViT-B-16",
    "RN50",
    "convnext_base",
    "EVA02-B-16",
    "coca_ViT-B-32",
    "MobileCLIP-S1",
    "MobileCLIP2-S0",
    "ViTamin-S",
    "PE-Core-B-16",
    "swin_base_patch4_window7_224",
    "vit_medium_patch16_gap_256",
    "vit_relpos_medium_patch16_cls_224",
    "ViT-L-14",
)
COLUMNS: Final = (
    ("architecture", "left"),
    ("parameters", "right"),
    ("engine", "left"),
    ("text fed as", "left"),
    ("worst text cosine", "right"),
    ("worst image cosine", "right"),
    ("bundle", "right"),
    ("seconds", "right"),
)


class Result(NamedTuple):
    """One row: a bake that worked, or why none did."""

    name: str
    cells: tuple[str, ...]
    note: str = ""


def main() -> None:
    """Bake them one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=FAMILIES, metavar="NAME")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "ENGINE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(bake_one(*arguments.child)))
        return
    console = Console()
    results = []
    for name in arguments.only:
        results.append(result := family(name))
        console.print(
            f"{name}: {' | '.join(result.cells)} {result.note}".rstrip(),
            highlight=False,
            soft_wrap=True,
        )
    console.print(as_table(results))
    if arguments.markdown:
        arguments.markdown.write_text(as_markdown(results))
    sys.exit(any(not result.cells for result in results))


def family(name: str) -> Result:
    """Bake with OpenVINO; where that fails, with torch."""
    found = in_a_child(name, "openvino")
    note = ""
    if "error" in found:
        note = str(found["error"])
        found = in_a_child(name, "torch")
        if "error" in found:
            return Result(name, (), f"{note}; with --engine torch: {found['error']}")
    cells = (
        f"{found['parameters'] / 1e6:.0f} M",
        found["engine"],
        found["text"],
        f"{found['text_cosine']:.8f}",
        f"{found['image_cosine']:.8f}",
        f"{found['bytes'] / 1e6:.0f} MB",
        f"{found['seconds']:.0f}",
    )
    return Result(name, cells, note)


def in_a_child(name: str, engine: str) -> dict[str, Any]:
    """Run one bake in its own process; return what it printed, or its error."""
    result = subprocess.run(
        [sys.executable, "-m", "tools.families", "--child", name, engine],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        told = result.stderr.strip().splitlines()[-1:] or [f"exit status {result.returncode}"]
        return {"error": told[0]}
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def bake_one(name: str, engine: str) -> dict[str, Any]:
    """Bake one architecture with random weights in a temporary folder."""
    from handler.bake import BakeRequest, bake
    from handler.bake.checkpoint import open_clip, torch
    from handler.errors import SetupError

    with tempfile.TemporaryDirectory(prefix="families-") as folder:
        checkpoint = Path(folder) / "random.pt"
        torch.manual_seed(0)
        model = open_clip.create_model(name, pretrained_text=False)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        torch.save(model.state_dict(), checkpoint)
        del model
        started = time.perf_counter()
        kind: Any = engine
        try:
            bundle = bake(BakeRequest(name, str(checkpoint), Path(folder) / "bundle", engine=kind))
        except SetupError as error:
            return {"error": str(error)}
        text = bundle.manifest.text
        trimmed = "embeddings, trimmed" if text.trim else "embeddings, full length"
        return {
            "parameters": parameters,
            "engine": engine,
            "text": trimmed if text.inputs == "embeddings" else "tokens",
            "bytes": sum(bundle.manifest.sizes.values()),
            "seconds": time.perf_counter() - started,
            **bundle.manifest.checks,
        }


def as_table(results: list[Result]) -> Table:
    """Return the table for a terminal."""
    table = Table(title="Families of architectures, baked with random weights")
    for title, side in COLUMNS:
        table.add_column(title, justify="right" if side == "right" else "left", no_wrap=True)
    for result in results:
        table.add_row(result.name, *(result.cells or ("failed",)))
    table.caption = "\n".join(f"{r.name}: {r.note}" for r in results if r.note)
    return table


def as_markdown(results: list[Result]) -> str:
    """Return the table for the documentation, with what failed below it."""
    lines = [
        "| " + " | ".join(title for title, _ in COLUMNS) + " |",
        "|" + "|".join("---:" if side == "right" else "---" for _, side in COLUMNS) + "|",
    ]
    for result in results:
        cells = result.cells or ("failed", *[""] * (len(COLUMNS) - 2))
        lines.append("| " + " | ".join((f"`{result.name}`", *cells)) + " |")
    notes = [f"- `{result.name}`: {result.note}" for result in results if result.note]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


if __name__ == "__main__":
    main()
