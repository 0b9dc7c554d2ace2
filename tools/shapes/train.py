"""Train the shapes model from nothing, on the CPU, the same every time on one kind of machine.

Run as `python -m tools.shapes.train --out models/shapes-tiny`.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from handler.torchvision_ops import ensure_torchvision
from tools.shapes.data import Collection, collect
from tools.shapes.draw import SHAPES

ensure_torchvision()
import open_clip  # noqa: E402  (it imports torchvision, which the line above makes importable)

CONFIG: Final[dict[str, Any]] = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {
            "image_size": 48,
            "patch_size": 8,
            "layers": 3,
            "width": 128,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 64,
            "heads": 4,
            "layers": 2,
        },
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}
SEED: Final = 7
PICTURES_EACH: Final = 72
STEPS: Final = 2200
_BATCH: Final = 128
_WARMUP: Final = 100
_PEAK_RATE: Final = 1.2e-3
_DECAY: Final = 0.05
_MAX_LOGIT_SCALE: Final = math.log(100)
# Share of a batch's pictures shown without colour. Only captions silent about colour are true of
# them, so that shape is learnt by itself and not as a companion of the colours it was seen in.
_COLOURLESS_SHARE: Final = 0.15
_COLOURLESS: Final = -2


def build(vocabulary: int, context: int) -> Any:
    """Make the untrained model, with a vocabulary and context only as large as training needs.

    The causal mask hides whatever follows a text's end, so a shorter context gives the very same
    features; and the rows of words that no caption holds would never receive a gradient.
    """
    settings = json.loads(json.dumps(CONFIG["model_cfg"]))
    settings["text_cfg"].update(vocab_size=vocabulary, context_length=context)
    model = open_clip.CLIP(**settings)
    # Row 0 stands for every unknown word: it starts at zero and padding_idx keeps it there.
    embedding = torch.nn.Embedding(vocabulary, settings["text_cfg"]["width"], padding_idx=0)
    with torch.no_grad():
        embedding.weight.copy_(model.token_embedding.weight)
        embedding.weight[0] = 0
    model.token_embedding = embedding
    return model


def contrast(
    pictures: torch.Tensor, texts: torch.Tensor, true: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Give the symmetric contrastive loss where a text may be true of several pictures.

    pictures, texts: unit features (n, d). true: (n, n), whether text j is true of picture i. Each
    true pair competes with the false pairs of its row and of its column, never with another true
    one, so "something red" is not pushed away from the other red pictures of the batch.
    """
    logits = scale * pictures @ texts.T
    rivals = logits.masked_fill(true, -1e4)
    weight = true.float()
    total = torch.zeros(())
    for axis in (0, 1):
        lost = functional.softplus(rivals.logsumexp(dim=axis, keepdim=True) - logits) * weight
        total = total + (lost.sum(dim=axis) / weight.sum(dim=axis).clamp(min=1)).mean()
    return total / 2


def make_optimiser(model: Any) -> torch.optim.Optimizer:
    """Set up AdamW, decaying matrices only."""
    matrices = [p for n, p in model.named_parameters() if p.ndim >= 2 and "embedding" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embedding" in n]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": _DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=_PEAK_RATE,
        betas=(0.9, 0.98),
    )


def rate(step: int, steps: int) -> float:
    """Give the learning rate of a step: a straight rise, then half a cosine down to zero."""
    if step < _WARMUP:
        return _PEAK_RATE * (step + 1) / _WARMUP
    return _PEAK_RATE * 0.5 * (1 + math.cos(math.pi * (step - _WARMUP) / max(steps - _WARMUP, 1)))


def augment(
    pictures: torch.Tensor, attributes: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror some batches, turn them by right angles, and take the colour out of some pictures.

    pictures: uint8 (n, 3, side, side), given back as floats in 0..1. attributes: (n, 4), given
    back with _COLOURLESS in place of a colour that was taken out.
    """
    images = pictures.float() / 255
    if rng.random() < 0.5:
        images = images.flip(3)  # every shape keeps its name in a mirror
    # A quarter turn leaves every shape's name true but the heart's, which is drawn upright.
    upright = (attributes[:, 1] == SHAPES.index("heart"))[:, None, None, None]
    images = torch.where(upright, images, images.rot90(int(rng.integers(4)), (2, 3)))
    grey = torch.from_numpy(rng.random(len(images)) < _COLOURLESS_SHARE)
    # Mixing the channels differently each time keeps a colour from being read off its brightness.
    mix = torch.from_numpy(rng.dirichlet((1.0, 1.0, 1.0), len(images))).float()
    plain = (images * mix[:, :, None, None]).sum(dim=1, keepdim=True)
    images = torch.where(grey[:, None, None, None], plain, images)
    shown = attributes.clone()
    shown[grey, 0] = _COLOURLESS
    return images, shown


def fit(data: Collection, steps: int, seed: int) -> Any:
    """Train for a number of batches and return the model."""
    rng = np.random.default_rng([seed, 2])
    torch.manual_seed(seed)
    model = build(len(data.vocabulary), data.context)
    optimiser = make_optimiser(model)
    mean, std = (
        torch.tensor(CONFIG["preprocess_cfg"][key]).view(1, 3, 1, 1) for key in ("mean", "std")
    )
    order = np.empty(0, dtype=np.int64)
    began = time.monotonic()
    running = 0.0
    for step in range(steps):
        if len(order) < _BATCH:
            order = rng.permutation(len(data.pictures))
        chosen, order = torch.from_numpy(order[:_BATCH]), order[_BATCH:]
        pictures, shown = augment(data.pictures[chosen], data.attributes[chosen], rng)
        features = model.encode_image((pictures - mean) / std, normalize=True)
        picks = torch.from_numpy(rng.integers(data.full.tokens.shape[1], size=(2, _BATCH)))
        both = [(data.full, picks[0]), (data.partial, picks[1])]
        tokens = torch.cat([captions.tokens[chosen, pick] for captions, pick in both])
        loss = torch.zeros(())
        for (captions, pick), texts in zip(
            both, model.encode_text(tokens.long(), normalize=True).chunk(2), strict=True
        ):
            said = captions.attributes[chosen, pick]
            true = ((said[None] < 0) | (said[None] == shown[:, None])).all(dim=2)
            loss = loss + contrast(features, texts, true, model.logit_scale.exp()) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, _MAX_LOGIT_SCALE)
        running += loss.item()
        if (step + 1) % 50 == 0:
            spent = time.monotonic() - began
            print(f"step {step + 1}/{steps}  loss {running / 50:.4f}  {spent:.0f} s", flush=True)
            running = 0.0
    return model


def export(model: Any, data: Collection, directory: Path) -> None:
    """Write the configuration and the f16 checkpoint with open_clip's full vocabulary.

    Words that no caption held keep a zero row. Positions past the longest training text repeat
    the last trained one.
    """
    text = CONFIG["model_cfg"]["text_cfg"]
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    words = torch.zeros(text["vocab_size"], text["width"])
    words[torch.tensor(data.vocabulary[1:])] = state["token_embedding.weight"][1:]
    state["token_embedding.weight"] = words
    places = state["positional_embedding"]
    missing = text["context_length"] - len(places)
    state["positional_embedding"] = torch.cat([places, places[-1:].expand(missing, -1)])
    directory.mkdir(parents=True, exist_ok=True)
    weights = directory / "open_clip_model.safetensors"
    save_file({name: tensor.half().contiguous() for name, tensor in state.items()}, weights)
    # safetensors makes the file its owner's alone; a container often runs as somebody else.
    weights.chmod(0o644)
    configuration = json.dumps(CONFIG, indent=2) + "\n"
    (directory / "open_clip_config.json").write_text(configuration, encoding="utf-8")


def main() -> None:
    """Draw the pictures, train, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--each", type=int, default=PICTURES_EACH, help="pictures a combination")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    began = time.monotonic()
    data = collect(CONFIG, arguments.each, arguments.seed)
    print(
        f"{len(data.pictures)} pictures, {len(data.vocabulary)} words, context {data.context}, "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    export(fit(data, arguments.steps, arguments.seed), data, arguments.out)
    print(f"wrote {arguments.out} after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
