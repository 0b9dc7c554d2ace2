"""The engine seam: NumPy arrays in, vectors out; the implementations never import each other."""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from handler.bundle import Bundle
from handler.call import Call
from handler.errors import SetupError
from handler.settings import Settings


class Engine(Protocol):
    """Runs the two towers. Safe to call from several threads."""

    device: str
    """"cpu" or "cuda", as responses name it."""
    image_batch: int
    """Pictures that run best together: so many are decoded ahead of the next run."""

    def encode_text(self, tokens: NDArray[np.int64], call: Call) -> NDArray[np.float32]:
        """int64 (n, context_length) → float32 (n, dim), not normalised."""

    def encode_image(self, pixel_values: NDArray[np.float32], call: Call) -> NDArray[np.float32]:
        """float32 (n, 3, height, width) → float32 (n, dim), not normalised."""


def load_engine(bundle: Bundle, settings: Settings, threads: int) -> Engine:
    """Load the engine a bundle was baked for.

    Raises:
        SetupError: the bundle was baked for another engine, or the engine is not installed.
    """
    baked = bundle.manifest.engine
    if baked != settings.engine:
        raise SetupError(
            f"{bundle.path} was baked for ENGINE={baked}, and ENGINE={settings.engine} is set; "
            f"set ENGINE={baked} or bake with --engine {settings.engine}"
        )
    kind = import_engine(baked)
    engine: Engine = kind(bundle, settings, threads)
    return engine


def import_engine(name: Literal["openvino", "torch"]) -> Any:
    """Import an engine's module, by far the slowest of its kind, and return its class."""
    match name:
        case "openvino":
            from handler.engines.openvino_engine import OpenVinoEngine

            return OpenVinoEngine
        case "torch":
            from handler.engines.torch_engine import TorchEngine

            return TorchEngine
