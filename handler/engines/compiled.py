"""Networks compiled ahead, without their weights: for each instruction set within the build CPU's.

A graph is compiled for the instruction set it is compiled on, and an image is often built on
another CPU than it runs on; so the bake compiles in processes that are told to see less than there
is. OpenVINO refuses a graph of another set or version than it finds; then the network is compiled.
"""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from handler.engines.runtime import openvino
from handler.errors import SetupError

log = logging.getLogger("openclip")

LEVELS: Final = ("", "AVX512_CORE_BF16", "AVX512_CORE_VNNI", "AVX512_CORE", "AVX2_VNNI", "AVX2")
"""Values of oneDNN's ONEDNN_MAX_CPU_ISA, which caps what it uses; empty: all there is."""

_ISA = re.compile(rb"meta=[^\0]*?;isa=([^\0]+)")


def load_network(core: Any, xml: Path, config: dict[str, Any]) -> Any:
    """Return a network ready to run, from a compiled graph that fits this CPU if there is one."""
    compiled = {"CACHE_MODE": "OPTIMIZE_SIZE", "WEIGHTS_PATH": str(xml.with_suffix(".bin"))}
    for blob in sorted(xml.parent.glob(f"{xml.stem}.*.blob")):
        try:
            return core.import_model(blob.read_bytes(), "CPU", config | compiled)
        except RuntimeError as error:
            log.debug("%s is not for this machine: %s", blob.name, error)
    return core.compile_model(xml, "CPU", config)


def write_compiled(folder: Path) -> None:
    """Write `image.ISA.blob` and `text.ISA.blob` for every distinct instruction set in reach.

    Raises:
        SetupError: OpenVINO could not compile a network.
    """
    for level in LEVELS:
        environ = os.environ | ({"ONEDNN_MAX_CPU_ISA": level} if level else {})
        result = subprocess.run(  # noqa: S603  this module, on a folder of ours
            [sys.executable, "-m", "handler.engines.compiled", str(folder)],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise SetupError(f"OpenVINO cannot compile the networks: {result.stderr[-300:]}")


def compile_here(folder: Path) -> None:
    """Compile both networks for what this process may use, and name the files by it."""
    core = openvino.Core()
    config = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "CACHE_MODE": "OPTIMIZE_SIZE",
    }
    for tower in ("image", "text"):
        exported = core.compile_model(folder / f"{tower}.xml", "CPU", config).export_model()
        data = exported.getvalue() if hasattr(exported, "getvalue") else bytes(exported)
        found = _ISA.search(data[:512])
        isa = found.group(1).decode() if found else "this machine"
        slug = re.sub(r"[^a-z0-9]+", "-", isa.lower()).strip("-0")
        (folder / f"{tower}.{slug}.blob").write_bytes(data)


if __name__ == "__main__":
    compile_here(Path(sys.argv[1]))
