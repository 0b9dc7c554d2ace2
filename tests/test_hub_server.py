"""Downloads for real, from a hub of our own on a loopback port."""

from pathlib import Path

import pytest
from hub import HubServer, Repository, bake_all
from tiny_models import CAUSAL, build, write

from handler.bundle import open_bundle

COMMITS = ("1" * 40, "2" * 40)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Return one with two commits, and beside the weights what a bake has no use for."""
    commits = {}
    for seed, commit in enumerate(COMMITS):
        folder = tmp_path_factory.mktemp("model")
        write(folder, CAUSAL, build(CAUSAL, seed))
        others = {
            "open_clip_pytorch_model.bin": bytes(200_000),
            "model.safetensors": bytes(200_000),
            "README.md": b"# A model",
        }
        commits[commit] = others | {path.name: path.read_bytes() for path in folder.iterdir()}
    return Repository(commits, {"main": COMMITS[1], "v1": COMMITS[0]})


def fetched(server: HubServer) -> list[str]:
    """Return the files that were downloaded, in order."""
    return [path for method, path, _ in server.requests if method == "GET" and "resolve" in path]


def test_a_download_a_broken_line_a_pinned_revision_and_a_cache(
    repository: Repository, tmp_path: Path
) -> None:
    home, out = tmp_path / "home", tmp_path / "out"
    requests = [
        {"out": str(out / "newest"), "model": "hf-hub:org/tiny"},
        {"out": str(out / "pinned"), "model": "hf-hub:org/tiny", "revision": "v1"},
        {"out": str(out / "again"), "model": "hf-hub:org/tiny"},
        {"out": str(out / "wrong-revision"), "model": "hf-hub:org/tiny", "revision": "v9"},
        {"out": str(out / "wrong-name"), "model": "hf-hub:org/huge"},
    ]
    with HubServer({"org/tiny": repository}, cut_once_after=300_000) as server:
        failures, shown = bake_all(requests, home, {"HF_ENDPOINT": server.url})
        names = [path.removeprefix("org/tiny/resolve/") for path in fetched(server)]
    assert set(failures) == {"wrong-revision", "wrong-name"}, failures
    assert failures["wrong-revision"].startswith("hf-hub:org/tiny cannot be downloaded: ")
    assert failures["wrong-name"].startswith("hf-hub:org/huge cannot be downloaded: ")
    weights = [f"{commit}/open_clip_model.safetensors" for commit in COMMITS]
    assert sorted(names) == sorted(
        # Once more, where the line broke; the configuration is the same file in both commits.
        [f"{COMMITS[1]}/open_clip_config.json", weights[1], weights[1], weights[0]]
    )
    assert "closed connection" in shown and "resume" in shown
    assert "Fetching 2 files: 100%" in shown
    newest, pinned, again = (open_bundle(out / name) for name in ("newest", "pinned", "again"))
    assert (newest.manifest.revision, pinned.manifest.revision) == (COMMITS[1], COMMITS[0])
    assert again.manifest.files == newest.manifest.files
    assert newest.manifest.weights_sha256 != pinned.manifest.weights_sha256


def test_what_was_downloaded_once_serves_offline(repository: Repository, tmp_path: Path) -> None:
    home = tmp_path / "home"
    request = {"out": str(tmp_path / "online"), "model": "hf-hub:org/tiny", "revision": "v1"}
    with HubServer({"org/tiny": repository}) as server:
        failures, _ = bake_all([request], home, {"HF_ENDPOINT": server.url})
        assert not failures
    request["out"] = str(tmp_path / "offline")
    failures, _ = bake_all([request], home, {"HF_HUB_OFFLINE": "1"})
    assert not failures
    online, offline = (open_bundle(tmp_path / name).manifest for name in ("online", "offline"))
    assert (online.space, online.revision) == (offline.space, offline.revision)
