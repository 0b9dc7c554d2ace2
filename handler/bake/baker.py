"""Load, export, check, rename: a bundle appears whole and proven, or not at all."""

import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from handler import __version__
from handler.bake.checkpoint import Checkpoint, load_checkpoint, torch
from handler.bake.samples import PROBE_TEXT, TEXTS, probe_picture
from handler.bake.selfcheck import check_pixels, check_tokens, check_vectors
from handler.bake.tokenizer import reference_tokenizer, write_tokenizer
from handler.bundle import (
    FORMAT,
    Bundle,
    Manifest,
    PreprocessSpec,
    TextSpec,
    TokenizerSpec,
    open_bundle,
    sha256_file,
    space_id,
)
from handler.embedder import Embedder
from handler.errors import SetupError
from handler.settings import Settings, default_model_id


@dataclass(frozen=True)
class BakeRequest:
    """What to bake, and where the finished bundle goes."""

    model: str
    pretrained: str
    out: Path
    model_id: str = ""
    revision: str | None = None
    engine: Literal["openvino", "torch"] = "openvino"


def bake(request: BakeRequest, console: Console | None = None) -> Bundle:
    """Make a bundle and prove it equal to open_clip.

    It is written beside `request.out` and renamed there at the end; on failure nothing is left.

    Raises:
        SetupError: it could not be made, or it is not equal; says which input and by how much.
    """
    console = console or Console(stderr=True)
    _refuse_to_overwrite(request.out)
    step = _Steps(console)
    with step(f"loading {request.model} {request.pretrained}".rstrip()):
        checkpoint = load_checkpoint(request.model, request.pretrained, request.revision)
        reference = reference_tokenizer(checkpoint)
    try:
        request.out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{request.out.name}-", dir=request.out.parent))
    except OSError as error:
        raise SetupError(f"cannot write to {request.out.parent}: {error}") from None
    try:
        manifest = _write(request, checkpoint, reference, folder, step)
        folder.chmod(0o755)  # mkdtemp's 0700 would lock out the user a container runs as
        _replace(request.out, folder)
    except OSError as error:
        raise SetupError(f"writing the bundle failed: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    console.print(
        f"{request.out}: space {manifest.space}, {manifest.dim} dimensions, "
        f"{sum(manifest.sizes.values()) / 1e6:.1f} MB, worst cosine to open_clip "
        f"{min(manifest.checks['text_cosine'], manifest.checks['image_cosine']):.8f}"
    )
    return open_bundle(request.out)


def _write(
    request: BakeRequest, checkpoint: Checkpoint, reference: Any, folder: Path, step: "_Steps"
) -> Manifest:
    spec = _preprocess_spec(checkpoint.model.visual.preprocess_cfg)
    tokenizer = write_tokenizer(reference, checkpoint, request.engine, folder)
    if request.engine == "openvino":
        from handler.bake.export import export_towers
        from handler.engines.compiled import write_compiled

        with step("exporting both towers to OpenVINO"):
            samples = reference(list(TEXTS))
            text = export_towers(checkpoint.model, (spec.height, spec.width), samples, folder)
        with step("compiling for this CPU's instruction sets"):
            write_compiled(folder)
    else:
        from safetensors.torch import save_file

        text = TextSpec(inputs="tokens", pool="tower")
        state = {k: v.contiguous() for k, v in checkpoint.model.state_dict().items()}
        save_file(state, folder / "weights.safetensors")
    with torch.inference_mode():
        dim = checkpoint.model.encode_text(reference([PROBE_TEXT]), normalize=False).shape[1]
    manifest = _manifest(request, checkpoint, spec, tokenizer, text, int(dim))
    _save_probe(folder, checkpoint, reference, spec)
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2))
    with step("checking tokens, pixels and vectors against open_clip"):
        settings = Settings(engine=request.engine)
        embedder = Embedder(open_bundle(folder), settings)
        check_tokens(embedder.tokenizer, reference)
        checks = {"pixel_difference": check_pixels(checkpoint, embedder)}
        checks |= check_vectors(checkpoint, embedder, reference)
        embedder.warm_up()
    files = {file.name: file for file in sorted(folder.iterdir()) if file.name != "manifest.json"}
    for file in files.values():
        file.chmod(0o644)
    manifest = manifest.model_copy(
        update={
            "checks": checks,
            "files": {name: sha256_file(file) for name, file in files.items()},
            "sizes": {name: file.stat().st_size for name, file in files.items()},
        }
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest


def _manifest(
    request: BakeRequest,
    checkpoint: Checkpoint,
    spec: PreprocessSpec,
    tokenizer: TokenizerSpec,
    text: TextSpec,
    dim: int,
) -> Manifest:
    model = checkpoint.model
    packages = ("open_clip_torch", "torch", "openvino", "pillow", "numpy")
    bias = getattr(model, "logit_bias", None)
    manifest = Manifest(
        format=FORMAT,
        model_name=request.model,
        pretrained=request.pretrained,
        model_id=request.model_id or default_model_id(request.model, request.pretrained),
        revision=checkpoint.revision,
        engine=request.engine,
        dim=dim,
        logit_scale=math.exp(float(model.logit_scale.detach().reshape(()))),
        logit_bias=None if bias is None else float(bias.detach().reshape(())),
        preprocess=spec,
        tokenizer=tokenizer,
        text=text,
        weights_sha256=checkpoint.weights_sha256,
        space="",
        versions={"openclip-serverless": __version__} | {p: metadata.version(p) for p in packages},
        checks={},
        model_config_json=checkpoint.config if request.engine == "torch" else None,
        files={},
        sizes={},
    )
    return manifest.model_copy(update={"space": space_id(manifest, "f32", "exact", "reference")})


def _preprocess_spec(config: dict[str, Any]) -> PreprocessSpec:
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    return PreprocessSpec(
        height=height,
        width=width,
        resize_mode=config.get("resize_mode") or "shortest",
        interpolation="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
        mean=_three(config["mean"]),
        std=_three(config["std"]),
        fill_color=config.get("fill_color", 0),
    )


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = [values] * 3 if isinstance(values, float | int) else values
    return float(first), float(second), float(third)


def _save_probe(folder: Path, checkpoint: Checkpoint, reference: Any, spec: PreprocessSpec) -> None:
    """Write the warm-up's text and picture with open_clip's own vectors for them."""
    from handler.images import load_image
    from handler.preprocess import preprocess

    picture = probe_picture()
    pixels = preprocess(load_image(picture, "probe", max_pixels=10_000_000), spec)
    with torch.inference_mode():
        text = checkpoint.model.encode_text(reference([PROBE_TEXT]), normalize=False)
        image = checkpoint.model.encode_image(torch.from_numpy(pixels)[None], normalize=False)
    np.savez_compressed(
        folder / "probe.npz",
        text=np.array(PROBE_TEXT),
        picture=np.frombuffer(picture, np.uint8),
        text_vector=text.numpy(),
        image_vector=image.numpy(),
    )


def _replace(out: Path, folder: Path) -> None:
    """Move the finished folder to `out`; a bundle that was there is whole until the very end."""
    old = folder.with_name(folder.name + "-old")
    if out.exists():
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _refuse_to_overwrite(out: Path) -> None:
    ours = (out / "manifest.json").is_file() or (out.is_dir() and not any(out.iterdir()))
    if out.exists() and not ours:
        raise SetupError(f"{out} exists and is not a bundle; choose another --out")


class _Steps:
    """Print what is being done and how long it took."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        self._console.print(f"{what} …")
        started = time.perf_counter()
        yield
        self._console.print(f"  done in {time.perf_counter() - started:.1f} s")
