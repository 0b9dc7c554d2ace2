"""A model's name → the loaded open_clip model, its configuration and its weights' origin."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handler.errors import SetupError
from handler.settings import SHIPPED_MODEL
from handler.torchvision_ops import ensure_torchvision

try:
    import torch

    ensure_torchvision()
    import open_clip
    from open_clip.pretrained import (
        download_pretrained_from_hf,
        get_pretrained_cfg,
        list_pretrained_tags_by_model,
    )
except ImportError as error:
    raise SetupError(
        f'baking needs torch and open_clip: pip install "openclip-serverless[bake]" ({error})'
    ) from None

SHIPPED_CHECKPOINT = Path(__file__).parents[2] / "models" / SHIPPED_MODEL


__all__ = ["Checkpoint", "load_checkpoint", "open_clip", "torch"]


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model (float32, eval mode) and what has to be written down about it."""

    model: Any
    preprocess: Any
    """open_clip's own inference transform: PIL image → float32 tensor (3, H, W)."""
    config: dict[str, Any]
    source: str
    """The name open_clip knows model and tokenizer by; may carry a `local-dir:` prefix."""
    revision: str | None
    weights_sha256: str


def load_checkpoint(name: str, pretrained: str, revision: str | None) -> Checkpoint:
    """Load weights through open_clip's pretrained path; never a randomly initialised model.

    Args:
        name: built-in architecture, `hf-hub:org/repo` or `local-dir:path`.
        pretrained: tag or checkpoint file, for a built-in architecture.
        revision: hub commit, tag or branch to pin.

    Raises:
        SetupError: unknown architecture or tag, no weights, or weights that do not fit.
    """
    if name == SHIPPED_MODEL:
        name = f"local-dir:{SHIPPED_CHECKPOINT}"
    source = name
    found_revision: str | None = None
    overrides: dict[str, Any] = {}
    if name.startswith("hf-hub:"):
        source, found_revision = _hub_folder(name.removeprefix("hf-hub:"), revision)
        pretrained = ""
    elif not name.startswith("local-dir:"):
        _check_known(name, pretrained)
        pretrained, found_revision, overrides = _tagged(name, pretrained, revision)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # QuickGELU: told below, as an error
            model, preprocess = open_clip.create_model_from_pretrained(
                source, pretrained=pretrained or None, **overrides
            )
    except Exception as error:  # unpicklers, safetensors, asserts, unknown keys: dozens of types
        told = " ".join(str(error).split())[:500] or type(error).__name__
        raise SetupError(f"open_clip cannot load {name} {pretrained}: {told}") from None
    model = model.float().eval()
    config = dict(open_clip.get_model_config(source))
    return Checkpoint(
        model, preprocess, config, source, found_revision, _weights_sha256(model.state_dict())
    )


def _check_known(name: str, pretrained: str) -> None:
    if open_clip.get_model_config(name) is None:
        raise SetupError(
            f"open_clip has no architecture {name!r}; names are case-sensitive, "
            f"`python -c 'import open_clip; print(open_clip.list_models())'` lists them"
        )
    tags = ", ".join(list_pretrained_tags_by_model(name)) or "none, so name a checkpoint file"
    if not pretrained:
        raise SetupError(f"MODEL_PRETRAINED is not set; tags for {name}: {tags}")
    if not get_pretrained_cfg(name, pretrained) and not Path(pretrained).is_file():
        raise SetupError(
            f"MODEL_PRETRAINED={pretrained!r} is neither a file nor a tag of {name} ({tags})"
        )


def _tagged(
    name: str, pretrained: str, revision: str | None
) -> tuple[str, str | None, dict[str, Any]]:
    """Return (pretrained, revision, overrides) for open_clip, with the hub revision resolved."""
    tag = get_pretrained_cfg(name, pretrained)
    if not tag or not tag.get("hf_hub"):
        if revision:
            raise SetupError(f"{name} {pretrained} is not on the hub: MODEL_REVISION cannot apply")
        return pretrained, None, {}
    repo, _, filename = tag["hf_hub"].rpartition("/")
    if bool(tag.get("quick_gelu")) != bool(open_clip.get_model_config(name).get("quick_gelu")):
        other = name.removesuffix("-quickgelu") if "quickgelu" in name else f"{name}-quickgelu"
        if open_clip.get_model_config(other) is None:
            other = f"hf-hub:{repo}"
        raise SetupError(
            f"the tag {pretrained} was trained with the activation of {other}; use that"
        )
    try:
        file = download_pretrained_from_hf(repo, filename=filename or None, revision=revision)
    except Exception as error:
        raise SetupError(
            f"the weights of {name} {pretrained} cannot be downloaded: {error}"
        ) from None
    # A file instead of the tag pins the revision; the tag's preprocessing must come along.
    overrides = {
        f"image_{key}": tag[key]
        for key in ("mean", "std", "interpolation", "resize_mode")
        if tag.get(key) is not None
    }
    return file, _commit(file), overrides


def _hub_folder(repo: str, revision: str | None) -> tuple[str, str | None]:
    """Download one model's files from the hub and return it as a folder open_clip loads."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repo,
            revision=revision,
            allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"],
            ignore_patterns=["pytorch_model*", "model.safetensors"],
        )
        if not any(Path(folder).glob("*.safetensors")):
            download_pretrained_from_hf(repo, revision=revision)
    except Exception as error:
        raise SetupError(f"hf-hub:{repo} cannot be downloaded: {error}") from None
    return f"local-dir:{folder}", Path(folder).name


def _commit(file: str) -> str | None:
    """Return the commit from a path in the hub's cache (…/snapshots/COMMIT/file)."""
    parts = Path(file).parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts else None


def _weights_sha256(state: dict[str, Any]) -> str:
    """Hash names, shapes and float32 values of all tensors, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().contiguous()
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
