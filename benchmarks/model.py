"""A full-size model with random weights, and its bundle; the same arithmetic as the trained one.

`python -m benchmarks.model CHECKPOINT BUNDLE NAME ENGINE` makes what is missing, in a process of
its own: the one that measures stays without torch.
"""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

import handler

EngineName = Literal["openvino", "torch"]
MODEL: Final = "ViT-B-32"
_MAKERS: Final = ("torch", "open_clip_torch", "openvino")


@dataclass(frozen=True)
class Model:
    """The two forms that are compared."""

    checkpoint: Path
    bundle: Path


def prepare(work: Path, name: str = MODEL, engine: EngineName = "openvino") -> Model:
    """Return the checkpoint and its bundle in `work`, made now where they are not there yet."""
    label = f"{name}-bundle" if engine == "openvino" else f"{name}-{engine}-bundle"
    model = Model(work / f"{name}-random.safetensors", work / f"{label}-{_bake_digest()}")
    if not (model.checkpoint.exists() and (model.bundle / "manifest.json").exists()):
        subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.model"),
                *(str(model.checkpoint), str(model.bundle), name, engine),
            ],
            check=True,
            timeout=1800,
        )
        for old in set(work.glob(f"{label}-*")) - {model.bundle}:
            shutil.rmtree(old)  # from another version of the bake
    return model


def _bake_digest() -> str:
    """Hash whatever decides what a bundle holds, so that a changed bake is measured."""
    root = Path(handler.__file__).parent
    digest = hashlib.sha256(" ".join(metadata.version(p) for p in _MAKERS).encode())
    for source in sorted([root / "bundle.py", *(root / "bake").glob("*.py")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


def _make(model: Model, name: str, engine: EngineName) -> None:
    from handler.bake import BakeRequest, bake
    from handler.bake.checkpoint import open_clip, torch

    if not model.checkpoint.exists():
        from safetensors.torch import save_file

        torch.manual_seed(0)
        made = open_clip.create_model(name)
        partial = model.checkpoint.with_suffix(".part")
        save_file({k: v.contiguous() for k, v in made.state_dict().items()}, str(partial))
        partial.rename(model.checkpoint)
    bake(
        BakeRequest(name, str(model.checkpoint), model.bundle, model_id="benchmark", engine=engine)
    )


if __name__ == "__main__":
    _checkpoint, _bundle, _name, _engine = sys.argv[1:]
    _make(
        Model(Path(_checkpoint), Path(_bundle)),
        _name,
        "torch" if _engine == "torch" else "openvino",
    )
