"""A bake that cannot be made or is not equal says so in a sentence and leaves nothing behind."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import CAUSAL, build, write

from handler.bake import BakeRequest, bake
from handler.bake.checkpoint import torch
from handler.errors import SetupError


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    return write(tmp_path / "checkpoint", CAUSAL)


def refused(model: str, pretrained: str = "", out: Path | str = "/nowhere", **others: Any) -> str:
    with pytest.raises(SetupError) as caught:
        bake(BakeRequest(model, pretrained, Path(out), **others))
    message = str(caught.value)
    assert len(message) < 1_000
    return message


def a_token_f16_cannot_hold(model: Any) -> None:
    model.token_embedding.weight[:, 0] = 1e6


def a_projection_f16_cannot_hold(model: Any) -> None:
    model.text_projection[0, 0] = 3e6


def a_picture_that_is_not_a_number(model: Any) -> None:
    model.visual.proj[0, 0] = float("nan")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (a_token_f16_cannot_hold, r"^text 'a red sofa': .* not finite$"),
        (
            a_projection_f16_cannot_hold,
            r"^the vector of text '.+' is 0\.0\d+ times as long",
        ),
        (a_picture_that_is_not_a_number, r"^the vector of image 'RGB png' has cosine nan to open"),
    ],
)
def test_a_bundle_that_is_not_equal_is_not_kept(
    spoil: Callable[[Any], None], told: str, tmp_path: Path
) -> None:
    """Real weights that half precision on disk cannot hold, or that are broken."""
    model = build(CAUSAL)
    with torch.no_grad():
        spoil(model)
    name = write(tmp_path / "checkpoint", CAUSAL, model)
    message = refused(name, out=tmp_path / "out")
    assert re.search(told, message), message
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_an_older_bundle_survives_a_failing_bake(tmp_path: Path) -> None:
    name = write(tmp_path / "checkpoint", CAUSAL)
    baked = bake(BakeRequest(name, "", tmp_path / "out", engine="torch"))
    model = build(CAUSAL)
    with torch.no_grad():
        a_picture_that_is_not_a_number(model)
    refused(write(tmp_path / "checkpoint", CAUSAL, model), out=tmp_path / "out", engine="torch")
    baked.verify()
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "out"}


def test_an_unknown_architecture() -> None:
    assert "open_clip has no architecture 'vit-b-32'" in refused("vit-b-32", "openai")


def test_an_unknown_tag_lists_the_known_ones() -> None:
    message = refused("ViT-B-32", "laion9b")
    assert "MODEL_PRETRAINED='laion9b' is neither a file nor a tag of ViT-B-32" in message
    assert "laion2b_s34b_b79k" in message


def test_no_tag_lists_them_too() -> None:
    message = refused("ViT-B-16", "")
    assert message.startswith("MODEL_PRETRAINED is not set; tags for ViT-B-16: openai, ")


def test_an_architecture_without_tags_wants_a_file() -> None:
    assert refused("ViT-S-32-alt", "").endswith("none, so name a checkpoint file")
    assert "is neither a file nor a tag" in refused("ViT-S-32-alt", "/no/such/file.pt")


def test_a_tag_of_the_other_activation() -> None:
    message = refused("ViT-B-32", "openai")
    assert message.endswith("trained with the activation of ViT-B-32-quickgelu; use that")
    message = refused("roberta-ViT-B-32", "laion2b_s12b_b32k")
    assert "of hf-hub:laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k; use that" in message


def test_a_revision_of_something_that_is_not_on_the_hub(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    message = refused("ViT-S-32-alt", str(file), revision="abc")
    assert message.endswith("is not on the hub: MODEL_REVISION cannot apply")


def test_a_checkpoint_of_another_architecture(tmp_path: Path) -> None:
    torch.save(build(CAUSAL).state_dict(), tmp_path / "tiny.pt")
    message = refused("ViT-S-32-alt", str(tmp_path / "tiny.pt"))
    assert message.startswith("open_clip cannot load ViT-S-32-alt")


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x04\x95"])
@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_broken_checkpoint_file(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    message = refused("ViT-S-32-alt", str(tmp_path / name), tmp_path / "out")
    assert message.startswith("open_clip cannot load ViT-S-32-alt")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    message = refused(f"local-dir:{tmp_path}/nothing", out=tmp_path / "out")
    assert message.startswith("open_clip cannot load local-dir:") and "not found" in message


def test_a_folder_without_weights_never_becomes_random_ones(tmp_path: Path, tiny: str) -> None:
    (tmp_path / "checkpoint" / "open_clip_model.safetensors").unlink()
    message = refused(tiny, out=tmp_path / "out")
    assert "Required pretrained weights" in message and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "config",
    [b"", b"{", b"[]", b"{}", json.dumps({"model_cfg": CAUSAL | {"wrong": 1}}).encode()],
)
def test_a_folder_with_a_broken_configuration(tmp_path: Path, tiny: str, config: bytes) -> None:
    (tmp_path / "checkpoint" / "open_clip_config.json").write_bytes(config)
    message = refused(tiny, out=tmp_path / "out")
    assert message.startswith("open_clip cannot load local-dir:")


def test_a_folder_of_somebody_elses_is_not_overwritten(tmp_path: Path, tiny: str) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "photo.jpg").write_text("irreplaceable")
    assert refused(tiny, out=mine).endswith("exists and is not a bundle; choose another --out")
    assert refused(tiny, out=mine / "photo.jpg").endswith("is not a bundle; choose another --out")
    assert (mine / "photo.jpg").read_text() == "irreplaceable"


def test_a_place_that_cannot_be_written(tmp_path: Path, tiny: str) -> None:
    """A file in the way, and a file system that takes nothing, even from root."""
    (tmp_path / "file").write_text("")
    assert refused(tiny, out=tmp_path / "file" / "out").startswith("cannot write to ")
    assert refused(tiny, out="/proc/bundle").startswith("cannot write to /proc: ")


def test_nothing_is_loaded_before_the_place_is_known_to_be_free(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("")
    message = refused("no such architecture", out=tmp_path)
    assert message.endswith("exists and is not a bundle; choose another --out")


def test_a_model_nobody_can_reach() -> None:
    """Offline (conftest): a tag and a repository say that they cannot be downloaded."""
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    message = refused("ViT-B-32", "laion2b_e16")
    assert message.startswith("the weights of ViT-B-32 laion2b_e16 cannot be downloaded: ")
    message = refused("hf-hub:nobody/nothing-here")
    assert message.startswith("hf-hub:nobody/nothing-here cannot be downloaded: ")
