"""Open_clip models of every kind, small enough to bake in seconds, with random weights in a file.

Tests load them the way anybody loads a checkpoint: as a `local-dir:` folder or a weights file.
"""

import json
from pathlib import Path
from typing import Any, Final

from handler.bake.checkpoint import open_clip, torch

END_OF_TEXT: Final = 49_407
_VISION: Final = {"image_size": 32, "patch_size": 16, "layers": 2, "width": 32, "head_width": 16}
_TEXT: Final = {
    "context_length": 77,
    "vocab_size": 49_408,
    "width": 32,
    "heads": 2,
    "layers": 2,
}


def config(
    vision: dict[str, Any] | None = None, text: dict[str, Any] | None = None, **others: Any
) -> dict[str, Any]:
    """Return a model configuration; `vision` replaces the tower, `text` changes some of it."""
    return {
        "embed_dim": 24,
        "vision_cfg": dict(_VISION) if vision is None else vision,
        "text_cfg": _TEXT | (text or {}),
    } | others


CAUSAL: Final = config()
KINDS: Final[dict[str, dict[str, Any]]] = {
    "causal": CAUSAL,
    "no causal mask": config(text={"no_causal_mask": True}, custom_text=True),
    "pool first": config(text={"pool_type": "first"}, custom_text=True),
    "pool last": config(text={"pool_type": "last"}, custom_text=True),
    "pool eos": config(text={"pool_type": "eos", "eos_id": END_OF_TEXT}, custom_text=True),
    "siglip": config(
        text={"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
        custom_text=True,
        init_logit_bias=-10.0,
    ),
    "coca": config(
        vision=_VISION | {"attentional_pool": True, "attn_pooler_heads": 4, "output_tokens": True},
        text={"context_length": 76, "embed_cls": True, "output_tokens": True},
        multimodal_cfg={"context_length": 76, "vocab_size": 49_408, "width": 32, "heads": 2}
        | {"layers": 1},
        custom_text=True,
    ),
    "timm resnet": config(
        vision={"timm_model_name": "test_resnet", "timm_pool": "avg", "image_size": 64}
    ),
    "modified resnet": config(
        vision={"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    ),
    "not square": config(vision=_VISION | {"image_size": [32, 48]}),
}

UNCONVERTIBLE: Final = config(vision={"timm_model_name": "test_vit", "timm_pool": "token"})
"""OpenVINO has no rule for the anti-aliased resize of its position embeddings."""


def build(model_config: dict[str, Any], seed: int = 0) -> Any:
    """Return an open_clip model with random weights of a fair size, the same for a seed."""
    torch.manual_seed(seed)
    settings = dict(model_config)
    custom = settings.pop("custom_text", False)
    if "multimodal_cfg" in settings:
        kind = open_clip.CoCa
    else:
        kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    model = kind(**settings)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:  # as initialised, short texts would all be nearly the same
                weight.normal_(std=weight.shape[-1] ** -0.5)
            elif name.endswith("logit_scale"):
                weight.fill_(3.0)
    return model.eval()


def write(
    folder: Path, model_config: dict[str, Any], model: Any = None, **preprocess: object
) -> str:
    """Write a folder open_clip loads and return its name, `local-dir:…`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    described = {"model_cfg": model_config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    state = (model or build(model_config)).state_dict()
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()},
        folder / "open_clip_model.safetensors",
    )
    return f"local-dir:{folder}"
