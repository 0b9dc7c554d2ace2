"""Models from the hub, offline: the loading is real, only the cache's content is made here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub import Repository, bake_all, one_commit, run, write_cache
from tiny_models import CAUSAL, build, config, write
from tiny_tokenizers import texts, unigram, word_piece

from handler.bake.checkpoint import open_clip, torch
from handler.bundle import Manifest, open_bundle
from handler.tokens import load_tokenizer

OFFLINE = {"HF_HUB_OFFLINE": "1"}
COMMITS = ("1" * 40, "2" * 40)
DEFAULT = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
TOKENIZERS: dict[str, tuple[dict[str, bytes], dict[str, Any], str]] = {
    "like-bert": (word_piece(), {"strip_sep_token": True}, "whitespace"),
    "like-siglip": (unigram(), {"clean": "canonicalize"}, "canonicalize"),
    "cased": (word_piece(lower=False), {}, "whitespace"),
    "lower-cased": (unigram(), {"clean": "lower", "strip_sep_token": False}, "lower"),
}


def files(
    folder: Path, model_config: dict[str, Any], seed: int = 0, **preprocess: object
) -> dict[str, bytes]:
    """Return the files of a hub repository with a random model."""
    write(folder, model_config, build(model_config, seed), **preprocess)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_tokenizer(kind: str, repository: str, folder: Path) -> dict[str, bytes]:
    text = {"hf_tokenizer_name": repository, "context_length": 32, "no_causal_mask": True}
    text |= {"tokenizer_kwargs": TOKENIZERS[kind][1], "pool_type": "last"}
    return files(folder, config(text=text, custom_text=True))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cache of many repositories, and bundles baked from it."""
    folder = tmp_path_factory.mktemp("hub")
    versions = {
        commit: files(folder / commit[0], CAUSAL, seed, mean=[0.1 * (seed + 1)] * 3)
        for seed, commit in enumerate(COMMITS)
    }
    older = dict(versions[COMMITS[0]])
    del older["open_clip_model.safetensors"]
    torch.save(build(CAUSAL).state_dict(), folder / "weights.bin")
    older["open_clip_pytorch_model.bin"] = (folder / "weights.bin").read_bytes()
    repositories = {
        "org/tiny": Repository(versions, {"main": COMMITS[1], "v1": COMMITS[0]}),
        "org/older": one_commit(older),
    }
    requests = [
        {"out": "newest", "model": "hf-hub:org/tiny"},
        {"out": "by-tag", "model": "hf-hub:org/tiny", "revision": "v1"},
        {"out": "by-commit", "model": "hf-hub:org/tiny", "revision": COMMITS[0]},
        {"out": "unknown-revision", "model": "hf-hub:org/tiny", "revision": "v9"},
        {"out": "unknown-repository", "model": "hf-hub:org/huge"},
        {"out": "older", "model": "hf-hub:org/older"},
    ]
    for kind, (tokenizer, _, _) in TOKENIZERS.items():
        beside = with_tokenizer(kind, f"org/{kind}-beside", folder / kind) | tokenizer
        elsewhere = with_tokenizer(kind, f"org/{kind}-words", folder / kind)
        repositories[f"org/{kind}-beside"] = one_commit(beside)
        repositories[f"org/{kind}-elsewhere"] = one_commit(elsewhere)
        repositories[f"org/{kind}-words"] = one_commit(tokenizer)
        names = (f"{kind}-{place}" for place in ("beside", "elsewhere"))
        requests += [{"out": name, "model": f"hf-hub:org/{name}"} for name in names]
    write_cache(folder / "home", repositories)
    wanted = [request | {"out": str(folder / "out" / request["out"])} for request in requests]
    failures, _ = bake_all(wanted, folder / "home", OFFLINE)
    (folder / "failures.json").write_text(json.dumps(failures))
    return folder


def manifest(hub: Path, name: str) -> Manifest:
    return open_bundle(hub / "out" / name).manifest


def test_the_newest_commit_is_recorded(hub: Path) -> None:
    newest = manifest(hub, "newest")
    assert newest.revision == COMMITS[1]
    assert newest.preprocess.mean[0] == pytest.approx(0.2)
    assert (newest.model_name, newest.model_id) == ("hf-hub:org/tiny", "OpenCLIP-org-tiny")


@pytest.mark.parametrize("name", ["by-tag", "by-commit"])
def test_a_pinned_revision(hub: Path, name: str) -> None:
    pinned = manifest(hub, name)
    assert pinned.revision == COMMITS[0]
    assert pinned.preprocess.mean[0] == pytest.approx(0.1)
    assert pinned.weights_sha256 != manifest(hub, "newest").weights_sha256


def test_weights_in_the_older_file_format(hub: Path) -> None:
    older, newer = manifest(hub, "older"), manifest(hub, "by-tag")
    assert older.revision == "a" * 40
    assert older.weights_sha256 == newer.weights_sha256 and older.space == newer.space


def test_only_what_is_not_there_fails_and_says_so(hub: Path) -> None:
    failures = json.loads((hub / "failures.json").read_text())
    assert set(failures) == {"unknown-revision", "unknown-repository"}, failures
    assert failures["unknown-revision"].startswith("hf-hub:org/tiny cannot be downloaded: ")
    assert failures["unknown-repository"].startswith("hf-hub:org/huge cannot be downloaded: ")


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("place", ["beside", "elsewhere"])
def test_a_hub_tokenizer(hub: Path, kind: str, place: str, tmp_path: Path) -> None:
    """Beside the weights or in another repository; run by transformers there, not here."""
    tokenizer, options, clean = TOKENIZERS[kind]
    baked = open_bundle(hub / "out" / f"{kind}-{place}")
    spec = baked.manifest.tokenizer
    assert (spec.kind, spec.context_length, spec.clean) == ("tokenizers", 32, clean)
    assert (spec.strip_id is not None) is options.get("strip_sep_token", False)
    for name, data in tokenizer.items():
        (tmp_path / name).write_bytes(data)
    reference = open_clip.tokenizer.HFTokenizer(str(tmp_path), context_length=32, **options)
    found, truncated, counts = load_tokenizer(baked)(list(texts()))
    np.testing.assert_array_equal(found, reference(list(texts())).numpy())
    assert len(np.unique(found)) > 20
    lengths = [len(reference.tokenizer(reference.clean_fn(t)).input_ids) for t in texts()]
    assert truncated == [length > 32 for length in lengths]
    assert any(truncated) and not all(truncated)
    assert counts == [min(length, 32) for length in lengths]


LOAD = """
import json, sys
from handler.bake.checkpoint import load_checkpoint
found = load_checkpoint("ViT-B-32", "laion2b_s34b_b79k", "v1")
first = found.model.visual.conv1.weight.detach().flatten()[:3].tolist()
print(json.dumps([found.revision, found.source, first, found.model.visual.preprocess_cfg]))
"""


def test_the_default_models_tag(tmp_path: Path) -> None:
    """Full size: the tag's own repository, file name and preprocessing, with made-up weights."""
    from safetensors.torch import save

    with torch.device("meta"):
        shapes = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32")).state_dict()
    state = {name: torch.zeros(s.shape, dtype=torch.float16) for name, s in shapes.items()}
    state["visual.conv1.weight"].fill_(0.25)
    commits = {COMMITS[0]: {"open_clip_model.safetensors": save(state)}, COMMITS[1]: {"x": b""}}
    repository = Repository(commits, {"main": COMMITS[1], "v1": COMMITS[0]})
    write_cache(tmp_path, {DEFAULT: repository})
    result = run("-c", LOAD, home=tmp_path, environ=OFFLINE)
    for blob in (tmp_path / "hub").glob("*/blobs/*"):
        blob.unlink()
    assert result.returncode == 0, result.stderr
    revision, source, first, preprocess = json.loads(result.stdout)
    assert (revision, source, first) == (COMMITS[0], "ViT-B-32", [0.25] * 3)
    assert preprocess["size"] == [224, 224]
    assert preprocess["mean"] == pytest.approx([0.48145466, 0.4578275, 0.40821073])
