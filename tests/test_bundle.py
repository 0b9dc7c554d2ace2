"""A damaged bundle is refused before it serves, with a sentence that names what is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handler.bundle import FORMAT, Bundle, open_bundle, space_id
from handler.embedder import Embedder
from handler.errors import SetupError
from handler.locate import SHIPPED
from handler.settings import Settings

FILES = sorted(path.name for path in SHIPPED.iterdir() if path.name != "manifest.json")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))


def refused(path: Path) -> str:
    with pytest.raises(SetupError) as caught:
        open_bundle(path)
    return str(caught.value)


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_copy_is_as_good(copy: Path, bundle: Bundle) -> None:
    found = open_bundle(copy)
    found.verify()
    assert found.manifest == bundle.manifest
    assert set(FILES) == set(found.manifest.files)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_verify_sees_one_flipped_bit(copy: Path, name: str, where: float) -> None:
    data = bytearray((copy / name).read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    (copy / name).write_bytes(data)
    found = open_bundle(copy)  # the size is right, and a start does not read everything
    with pytest.raises(SetupError, match=f"{name} differs from its checksum; bake it again"):
        found.verify()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_short_or_long_file(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    told = f"{copy}: {name} is missing or not {len(data)} bytes; bake it again"
    for content in (data[:-1], data + b"\0", b""):
        (copy / name).write_bytes(content)
        assert refused(copy) == told
    (copy / name).unlink()
    assert refused(copy) == told
    (copy / name).mkdir()
    assert refused(copy) == told


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    told = " is not a bundle: it has no manifest.json"
    assert refused(tmp_path) == f"{tmp_path}{told}"
    assert refused(tmp_path / "nothing").endswith(told)
    (tmp_path / "manifest.json").mkdir()
    assert refused(tmp_path).endswith(told)


def test_another_format_is_named(copy: Path) -> None:
    changed(copy, lambda manifest: manifest.update(format=FORMAT + 1))
    assert refused(copy) == (
        f"{copy} is a bundle of format {FORMAT + 1}, this version reads {FORMAT}; bake it again"
    )


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"3", b"{}", b'"format"', b"\xff\xfe", b'{"format": 1}']
)
def test_a_manifest_that_is_none(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    assert f"{copy}" in refused(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("dim"),
        lambda manifest: manifest.update(dim="wide"),
        lambda manifest: manifest.update(engine="tensorflow"),
        lambda manifest: manifest.update(surprise=1),
        lambda manifest: manifest["preprocess"].update(resize_mode="fit"),
        lambda manifest: manifest["preprocess"].update(mean=[0.5]),
        lambda manifest: manifest["tokenizer"].update(clean="not at all"),
        lambda manifest: manifest["text"].pop("pool"),
        lambda manifest: manifest.update(sizes=None),
    ],
)
def test_a_manifest_with_a_wrong_entry(
    copy: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    changed(copy, change)
    assert refused(copy).startswith(f"{copy}/manifest.json cannot be read: ")


def test_wrong_weights_do_not_get_past_the_warm_up(copy: Path, settings: Settings) -> None:
    """A start reads no checksums, but what it then computes is not what was baked."""
    table = np.load(copy / "token_embedding.npy")
    np.save(copy / "token_embedding.npy", table[::-1])
    with np.load(copy / "probe.npz") as probe:
        other = dict(probe) | {"image_vector": probe["image_vector"][:, ::-1]}
    embedder = Embedder(open_bundle(copy), settings)
    with pytest.raises(SetupError, match="the text tower does not reproduce the baked vectors"):
        embedder.warm_up()
    np.savez_compressed(copy / "probe.npz", **other)
    with pytest.raises(SetupError, match="the image tower does not reproduce the baked vectors"):
        embedder.warm_up()


def test_everything_that_changes_vectors_changes_the_space(bundle: Bundle) -> None:
    manifest = bundle.manifest
    mean = manifest.preprocess.model_copy(update={"mean": (0.1, 0.2, 0.3)})
    clean = manifest.tokenizer.model_copy(update={"clean": "whitespace"})
    spaces = {
        space_id(manifest, "f32", "exact", "reference"),
        space_id(manifest, "bf16", "exact", "reference"),
        space_id(manifest, "f32", "fast", "reference"),
        space_id(manifest, "f32", "exact", "exif"),
        space_id(manifest.model_copy(update={"weights_sha256": "0"}), "f32", "exact", "reference"),
        space_id(manifest.model_copy(update={"preprocess": mean}), "f32", "exact", "reference"),
        space_id(manifest.model_copy(update={"tokenizer": clean}), "f32", "exact", "reference"),
    }
    assert len(spaces) == 7 and all(len(space) == 12 for space in spaces)


@pytest.mark.parametrize("change", [{"model_id": "other"}, {"engine": "torch"}, {"versions": {}}])
def test_names_and_versions_do_not(bundle: Bundle, change: dict[str, Any]) -> None:
    other = bundle.manifest.model_copy(update=change)
    assert space_id(other, "f32", "exact", "reference") == bundle.manifest.space
