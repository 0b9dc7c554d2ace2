"""open_clip's tokenizer → a file the runtime reads without torch."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from handler.bake.checkpoint import Checkpoint, open_clip
from handler.bundle import TokenizerSpec, sha256_file
from handler.errors import SetupError

_TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model")


def reference_tokenizer(checkpoint: Checkpoint) -> Any:
    """Return open_clip's own tokenizer for the model.

    Raises:
        SetupError: it needs a library or a hub file that is not there.
    """
    try:
        return _elsewhere(checkpoint) or open_clip.get_tokenizer(checkpoint.source)
    except ImportError as error:
        raise SetupError(
            f'this model\'s tokenizer comes from the hub: pip install "openclip-serverless[hub]" '
            f"({error})"
        ) from None
    except (OSError, ValueError) as error:
        raise SetupError(f"this model's tokenizer cannot be loaded: {error}") from None


def _elsewhere(checkpoint: Checkpoint) -> Any | None:
    """Return the tokenizer of a folder that names one and does not hold it.

    open_clip looks for it in the folder only. A hub model is loaded from the folder it was
    downloaded to, and a few name another repository's tokenizer.
    """
    schema, _, folder = checkpoint.source.partition(":")
    text_config = checkpoint.config["text_cfg"]
    name = text_config.get("hf_tokenizer_name")
    if schema != "local-dir" or not name:
        return None
    if any(file for kind in _TOKENIZER_FILES for file in Path(folder).glob(kind)):
        return None
    return open_clip.tokenizer.HFTokenizer(
        name,
        context_length=text_config.get("context_length", 77),
        tokenizer_mode=text_config.get("tokenizer_mode"),
        **text_config.get("tokenizer_kwargs", {}),
    )


def write_tokenizer(
    reference: Any, checkpoint: Checkpoint, engine: str, folder: Path
) -> TokenizerSpec:
    """Write `bpe.npz` or `tokenizer.json` and return how to use it.

    Raises:
        SetupError: a tokenizer that neither of them can express, and an engine without open_clip.
    """
    text_config = checkpoint.config["text_cfg"]
    options = text_config.get("tokenizer_kwargs", {})
    common = {"context_length": reference.context_length}
    if isinstance(reference, open_clip.SimpleTokenizer) and reference.reduction_fn is None:
        digest = _write_bpe(reference, folder / "bpe.npz")
        clean = options.get("clean", "lower")
        return TokenizerSpec(kind="bpe", clean=clean, sha256=digest, **common)
    backend = getattr(getattr(reference, "tokenizer", None), "backend_tokenizer", None)
    if backend is not None and not getattr(reference, "tokenizer_mode", ""):
        reference(["a"])  # leaves the truncation and padding it uses in the backend
        path = folder / "tokenizer.json"
        backend.save(str(path))
        strip = getattr(reference, "strip_sep_token", False)
        return TokenizerSpec(
            kind="tokenizers",
            clean=options.get("clean", "whitespace"),
            strip_id=reference.tokenizer.sep_token_id if strip else None,
            sha256=sha256_file(path),
            **common,
        )
    if engine == "torch":
        return TokenizerSpec(kind="open_clip", clean="whitespace", sha256="", **common)
    raise SetupError(
        "this model's tokenizer cannot run without open_clip; ENGINE=torch works: "
        "bake with --engine torch"
    )


def _write_bpe(reference: Any, path: Path) -> str:
    """Turn merges of strings into merges of ids; see `BytePairTokenizer` for the layout.

    Returns:
        The sha256 of what is in the file: its own bytes vary with the version of zlib.
    """
    ids: dict[str, int] = reference.encoder
    letters = [reference.byte_encoder[byte] for byte in range(256)]
    merges = sorted(reference.bpe_ranks.items(), key=lambda item: item[1])
    special = [reference.decoder[i] for i in reference.all_special_ids]
    pairs = np.array([[ids[a], ids[b]] for (a, b), _ in merges], np.int64).reshape(-1, 2)
    regular = (
        all(ids[letter + "</w>"] == ids[letter] + 256 for letter in letters)
        and all(ids[a + b] == 512 + rank for (a, b), rank in merges)
        and reference.all_special_ids == [*range(512 + len(pairs), 512 + len(pairs) + len(special))]
    )
    if not regular:
        raise SetupError(
            "this byte-pair vocabulary is not numbered like CLIP's; use --engine torch"
        )
    byte_ids = np.array([ids[letter] for letter in letters], np.int64)
    np.savez_compressed(path, bytes=byte_ids, merges=pairs, special=np.array(special))
    content = byte_ids.tobytes() + pairs.tobytes() + "\n".join(special).encode()
    return hashlib.sha256(content).hexdigest()
