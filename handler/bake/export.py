"""The two towers → OpenVINO IR, with f16 weights on disk and a dynamic batch.

A causal text tower that pools at the end-of-text token gives the same vector when it runs only
the positions up to that token (later ones cannot be attended to), so it is exported with a
dynamic length. Whether a tower is like that is read from its configuration and then checked by
numbers on the torch modules before anything is exported.
"""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from handler.bake.checkpoint import open_clip, torch
from handler.bundle import TextSpec
from handler.engines.openvino_engine import pooled_positions
from handler.errors import SetupError

# The converter tries to send usage data; it accepts the absence of the package that does.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
if sys.modules.get("openvino.tools.ovc", ...) is None:  # serving keeps the converter out
    del sys.modules["openvino.tools.ovc"]
import openvino  # noqa: E402
from openvino.tools.ovc import convert_model  # noqa: E402

_MAX_BATCH = 4096
_INT32_MAX = 2**31 - 1
_SAME = 1e-4
"""Largest relative difference between two ways to run one torch tower in float32."""


class ImageTower(torch.nn.Module):
    """The image tower of any open_clip model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Any) -> Any:
        """float32 (n, 3, H, W) → float32 (n, dim)."""
        return self.model.encode_image(pixel_values, normalize=False)


class TokenTower(torch.nn.Module):
    """Any text tower, at its full length."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Any) -> Any:
        """int64 (n, context_length) → float32 (n, dim)."""
        return self.model.encode_text(tokens, normalize=False)


class EmbeddingTower(torch.nn.Module):
    """open_clip's `TextTransformer` after its embedding look-up (open_clip/transformer.py)."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.transformer, self.ln_final = text.transformer, text.ln_final
        self.projection = text.text_projection
        # Longer than any input, or export would fix the length at the context length.
        length, width = text.positional_embedding.shape
        positions = torch.zeros(2 * length, width)
        positions[:length] = text.positional_embedding.detach()
        self.register_buffer("positions", positions)
        self.causal = text.attn_mask is not None
        if self.causal:
            mask = torch.full((2 * length, 2 * length), float("-inf")).triu_(1)
            self.register_buffer("mask", mask)

    positions: torch.Tensor
    mask: torch.Tensor

    def forward(self, embeddings: Any, index: Any) -> Any:
        """float32 (n, L, width) embeddings, int64 (n,) pooled positions → float32 (n, dim)."""
        length = embeddings.shape[1]
        hidden = embeddings + self.positions[:length]
        mask = self.mask[:length, :length] if self.causal else None
        hidden = self.transformer(hidden, attn_mask=mask)
        pooled = self.ln_final(hidden[torch.arange(hidden.shape[0]), index])
        if self.projection is None:
            return pooled
        if isinstance(self.projection, torch.nn.Linear):
            return self.projection(pooled)
        return pooled @ self.projection


def export_towers(model: Any, size: tuple[int, int], tokens: Any, folder: Path) -> TextSpec:
    """Write image.xml/.bin, text.xml/.bin and, where used, token_embedding.npy.

    Args:
        model: open_clip model, float32, eval mode.
        size: picture (height, width).
        tokens: int64 (n, context_length) sample texts of different lengths, n >= 3.
        folder: where the files go.

    Raises:
        SetupError: a tower torch.export or OpenVINO cannot take; names ENGINE=torch.
    """
    batch = torch.export.Dim("batch", min=1, max=_MAX_BATCH)
    pixels = torch.zeros(3, 3, *size)
    _export("image", ImageTower(model), (pixels,), ({0: batch},), folder)
    text = text_transformer(model)
    spec = text_spec(model, text, tokens) if text is not None else None
    if text is None or spec is None:
        _export("text", TokenTower(model), (tokens[:3],), ({0: batch},), folder)
        return TextSpec(inputs="tokens", pool="tower")
    table = text.token_embedding.weight.detach()
    with np.errstate(over="ignore"):  # what f16 cannot hold, the self-check finds
        np.save(folder / "token_embedding.npy", table.numpy().astype(np.float16))
    length = 11 if spec.trim else tokens.shape[1]
    example = (torch.randn(3, length, table.shape[1]), torch.tensor([2, 4, length - 1]))
    shapes: tuple[dict[int, Any], ...] = ({0: batch}, {0: batch})
    if spec.trim:
        limit = text.positional_embedding.shape[0]
        shapes = ({0: batch, 1: torch.export.Dim("length", min=1, max=limit)}, {0: batch})
    _export("text", EmbeddingTower(text), example, shapes, folder)
    return spec


def text_transformer(model: Any) -> Any | None:
    """Return the part with open_clip's `TextTransformer` attributes, or None (CoCa, hub towers)."""
    if isinstance(model, open_clip.CLIP):
        return model
    text: Any = getattr(model, "text", None)
    plain = isinstance(text, open_clip.transformer.TextTransformer)
    return text if plain and text.cls_emb is None and not text.use_pad_mask else None


def text_spec(model: Any, text: Any, tokens: Any) -> TextSpec | None:
    """Decide how the text tower is fed, by configuration, and prove it by numbers.

    Returns:
        None where feeding embeddings does not reproduce open_clip's `encode_text`.
    """
    pool = getattr(text, "text_pool_type", None) or getattr(text, "pool_type", "none")
    eos = int(getattr(text, "text_eos_id", 0) or getattr(text, "eos_id", 0))
    if pool not in ("argmax", "eos", "first", "last"):
        return None
    spec = TextSpec(inputs="embeddings", pool=pool, eos_id=eos)
    tower = EmbeddingTower(text).eval()
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=False)
        index = torch.from_numpy(pooled_positions(tokens.numpy(), spec))
        if not _same(tower(text.token_embedding(tokens), index), expected):
            return None
        if not tower.causal or pool not in ("argmax", "eos"):
            return spec
        for row, position, vector in zip(tokens, index, expected, strict=True):
            cut = row[None, : int(position) + 1]
            if not _same(tower(text.token_embedding(cut), position[None]), vector[None]):
                return spec
    return spec.model_copy(update={"trim": True})


def _same(found: Any, expected: Any) -> bool:
    return bool((found - expected).norm() <= _SAME * expected.norm())


def _export(
    name: str, tower: Any, example: tuple[Any, ...], shapes: tuple[Any, ...], folder: Path
) -> None:
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(tower.eval(), example, dynamic_shapes=shapes)
            _shorten_open_slices(program)
            network = convert_model(program)
            openvino.save_model(network, folder / f"{name}.xml", compress_to_fp16=True)
    except Exception as error:  # torch.export and the converter raise dozens of types
        lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
        told = next((line for line in lines if line.startswith("No conversion rule")), None)
        reason = (told or (lines or [type(error).__name__])[0])[:300]
        raise SetupError(
            f"the {name} tower cannot be exported to OpenVINO ({reason}); ENGINE=torch works: "
            "bake with --engine torch"
        ) from error


def _shorten_open_slices(program: Any) -> None:
    """Let `x[…, 1::2]` end at the largest int32 instead of the largest int64.

    OpenVINO's CPU plugin keeps such constants as int32. Compiling clips them, but loading what was
    compiled reads them from the weights file again and truncates: the end becomes -1.
    """
    for node in program.graph.nodes:
        if node.target is torch.ops.aten.slice.Tensor and len(node.args) > 3:
            end = node.args[3]
            if isinstance(end, int) and end > _INT32_MAX:
                node.update_arg(3, _INT32_MAX)


class _quiet(warnings.catch_warnings):  # noqa: N801 (reads as the statement it is)
    """Silence the exporters' chatter: their failures come as exceptions."""

    def __enter__(self) -> Any:
        found = super().__enter__()
        warnings.simplefilter("ignore")
        logging.getLogger("torch.export").setLevel(logging.ERROR)
        return found
