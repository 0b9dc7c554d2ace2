"""The baked folder: what a checkpoint became, how it must be fed, and its vectors' space.

manifest.json        this module's `Manifest`
image.xml/.bin       image tower, OpenVINO IR, f16 weights          (engine openvino)
text.xml/.bin        text tower, likewise                           (engine openvino)
token_embedding.npy  float16 (vocabulary, width): rows are read on demand, never the table
weights.safetensors  the checkpoint's own tensors                   (engine torch)
bpe.npz | tokenizer.json
probe.npz            one text and one picture with open_clip's own vectors for them
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from handler.errors import SetupError

FORMAT = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PreprocessSpec(_Part):
    """open_clip's inference transform: `PreprocessCfg` in open_clip/transform.py."""

    height: int
    width: int
    resize_mode: Literal["shortest", "longest", "squash"]
    interpolation: Literal["bicubic", "bilinear"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fill_color: int


class TokenizerSpec(_Part):
    """How a text becomes token ids.

    `bpe` is CLIP's own byte-pair encoding (bpe.npz); `tokenizers` a hub tokenizer.json run by
    that library; `open_clip` calls open_clip itself (engine torch only).
    """

    kind: Literal["bpe", "tokenizers", "open_clip"]
    clean: Literal["lower", "whitespace", "canonicalize"]
    context_length: int
    strip_id: int | None = None
    """A token id replaced by 0 after encoding (open_clip's `strip_sep_token`)."""
    sha256: str


class TextSpec(_Part):
    """How the text tower is fed.

    `embeddings`: float32 (n, L, width) looked up by the engine, and int64 (n,) positions to pool;
    `tokens`: int64 (n, context_length). `trim`: L may stop right after the pooled position.
    """

    inputs: Literal["embeddings", "tokens"]
    pool: Literal["argmax", "eos", "first", "last", "tower"]
    eos_id: int = 0
    trim: bool = False


class Manifest(_Part):
    """Everything about a bundle that serving needs or a reader may ask."""

    format: int
    model_name: str
    pretrained: str
    model_id: str
    revision: str | None
    engine: Literal["openvino", "torch"]
    dim: int
    logit_scale: float
    """Multiplier of cosine similarities: exp of the checkpoint's parameter."""
    logit_bias: float | None
    preprocess: PreprocessSpec
    tokenizer: TokenizerSpec
    text: TextSpec
    weights_sha256: str
    """Over the checkpoint's tensors, not its file: the same weights in another file are equal."""
    space: str
    """Space id at default options; `space_id` gives the others."""
    versions: dict[str, str]
    checks: dict[str, float]
    """What the self-check measured: worst cosine of texts and images, worst pixel difference."""
    model_config_json: dict[str, Any] | None = None
    """open_clip's architecture config, kept where the engine has to rebuild the model."""
    files: dict[str, str]
    """sha256 of every other file."""
    sizes: dict[str, int]


class Bundle:
    """A baked folder whose manifest is readable and whose files are present and whole in size."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    def file(self, name: str) -> Path:
        """Return the path of one file of the bundle."""
        return self.path / name

    def verify(self) -> None:
        """Compare every file with its sha256: reads everything, so not part of a cold start.

        Raises:
            SetupError: naming the first file that differs.
        """
        for name, expected in self.manifest.files.items():
            if sha256_file(self.path / name) != expected:
                raise SetupError(f"{self.path}: {name} differs from its checksum; bake it again")


def open_bundle(path: Path) -> Bundle:
    """Read a bundle's manifest and compare the files' sizes with it.

    Raises:
        SetupError: no bundle there, one of another format, or a file missing or cut short.
    """
    try:
        raw = (path / "manifest.json").read_bytes()
    except OSError:
        raise SetupError(f"{path} is not a bundle: it has no manifest.json") from None
    try:
        found = json.loads(raw)["format"]
        if found != FORMAT:
            raise SetupError(
                f"{path} is a bundle of format {found}, this version reads {FORMAT}; bake it again"
            )
        manifest = Manifest.model_validate_json(raw)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{path}/manifest.json cannot be read: {error}") from None
    for name, size in manifest.sizes.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != size:
            raise SetupError(f"{path}: {name} is missing or not {size} bytes; bake it again")
    return Bundle(path, manifest)


def space_id(manifest: Manifest, precision: str, decode: str, orient: str) -> str:
    """Return 12 hex digits over everything that changes a vector beyond the bake's tolerance.

    Vectors with equal space ids come from the same weights, pixels, tokens and precision and
    agree to cosine >= 0.99999, whichever engine made them; with different ids they must not
    share an index.
    """
    parts = [
        manifest.weights_sha256,
        manifest.preprocess.model_dump_json(),
        manifest.tokenizer.model_dump_json(include={"clean", "context_length", "sha256"}),
        precision,
        decode,
        orient,
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
