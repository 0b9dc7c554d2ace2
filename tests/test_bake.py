"""Small random models of every kind, through the real `bake`, against open_clip."""

import io
import random
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from calls import embed
from pictures import picture
from PIL import Image as PillowImage
from tiny_models import CAUSAL, KINDS, UNCONVERTIBLE, build, write

from handler.bake import BakeRequest, bake
from handler.bake.checkpoint import load_checkpoint, open_clip, torch
from handler.bake.export import text_spec, text_transformer
from handler.bake.samples import TEXTS
from handler.bake.samples import pictures as sample_pictures
from handler.bundle import Bundle, TextSpec, open_bundle
from handler.embedder import Embedder
from handler.errors import SetupError
from handler.items import Image, Options
from handler.settings import Settings
from handler.vectors import cosines

LOWEST = 0.99999
WORDS = ("a", "red", "sofa", ",", "", "it's", "2", "ÉTÉ", "漢字", "incomprehensibilities")
TRIMMED = TextSpec(inputs="embeddings", pool="argmax", eos_id=2, trim=True)
WHOLE = TRIMMED.model_copy(update={"trim": False})
EXPECTED = {
    "causal": TRIMMED,
    "no causal mask": WHOLE,
    "pool first": WHOLE.model_copy(update={"pool": "first"}),
    "pool last": WHOLE.model_copy(update={"pool": "last"}),
    "pool eos": TRIMMED.model_copy(update={"pool": "eos", "eos_id": 49_407}),
    "siglip": WHOLE.model_copy(update={"pool": "last"}),
    "coca": TextSpec(inputs="tokens", pool="tower"),
    "timm resnet": TRIMMED,
    "modified resnet": TRIMMED,
    "not square": TRIMMED,
}


def unseen_texts() -> list[str]:
    """Return texts the self-check has not seen, of every length up to beyond the limit."""
    rng = random.Random(1)
    return [" ".join(rng.choices(WORDS, k=count)) for count in range(1, 90, 2)]


def bake_tiny(
    folder: Path,
    config: dict[str, Any],
    engine: Literal["openvino", "torch"] = "openvino",
    **preprocess: object,
) -> Bundle:
    """Bake a random model of this configuration."""
    name = write(folder / "checkpoint", config, **preprocess)
    return bake(BakeRequest(model=name, pretrained="", out=folder / engine, engine=engine))


def worst_cosines(bundle: Bundle) -> tuple[float, float]:
    """Return the lowest cosines to open_clip of unseen texts and of pictures."""
    checkpoint = load_checkpoint(bundle.manifest.model_name, bundle.manifest.pretrained, None)
    embedder = Embedder(bundle, Settings(engine=bundle.manifest.engine))
    texts = unseen_texts()
    files = [picture("RGB", size) for size in ((60, 60), (33, 90), (200, 31))]
    tokens = open_clip.get_tokenizer(checkpoint.source)(texts)
    pixels = [checkpoint.preprocess(PillowImage.open(io.BytesIO(data))) for data in files]
    with torch.inference_mode():
        expected_texts = checkpoint.model.encode_text(tokens, normalize=False).numpy()
        expected_images = checkpoint.model.encode_image(torch.stack(pixels), normalize=False)
    images = [Image(data, "image") for data in files]
    found = embed(embedder, texts, images, Options()).vectors
    split = len(texts)
    return (
        float(cosines(found[:split], expected_texts).min()),
        float(cosines(found[split:], expected_images.numpy()).min()),
    )


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bake_tiny(tmp_path_factory.mktemp("causal"), CAUSAL)


def check(kind: str, baked: Bundle) -> None:
    manifest = baked.manifest
    assert manifest.text == EXPECTED[kind]
    assert manifest.dim == 24
    assert manifest.logit_scale == pytest.approx(np.exp(3.0), rel=1e-5)
    assert manifest.logit_bias == (-10.0 if kind == "siglip" else None)
    assert manifest.checks["pixel_difference"] == 0.0
    assert min(manifest.checks["text_cosine"], manifest.checks["image_cosine"]) >= LOWEST
    worst = worst_cosines(baked)
    print(f"{kind}: worst cosine of texts {worst[0]:.8f}, of pictures {worst[1]:.8f}")
    assert min(worst) >= LOWEST


def test_a_causal_model(causal: Bundle) -> None:
    check("causal", causal)


@pytest.mark.parametrize(
    "kind", ["no causal mask", "pool eos", "siglip", "coca", "timm resnet", "modified resnet"]
)
def test_every_kind_of_model_is_served_as_open_clip_runs_it(kind: str, tmp_path: Path) -> None:
    check(kind, bake_tiny(tmp_path, KINDS[kind]))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "coca"])
def test_how_the_text_tower_is_fed(kind: str) -> None:
    model = build(KINDS[kind])
    tokens = open_clip.SimpleTokenizer()(unseen_texts())
    assert text_spec(model, text_transformer(model), tokens) == EXPECTED[kind]


def test_a_tower_with_its_own_pooling_is_fed_tokens() -> None:
    assert text_transformer(build(KINDS["coca"])) is None


def test_a_model_that_is_not_square(tmp_path: Path) -> None:
    baked = bake_tiny(tmp_path, KINDS["not square"], "torch")
    assert (baked.manifest.preprocess.height, baked.manifest.preprocess.width) == (32, 48)
    assert min(worst_cosines(baked)) >= LOWEST


def test_the_manifest_says_what_was_baked(causal: Bundle) -> None:
    manifest = causal.manifest
    assert (manifest.engine, manifest.pretrained, manifest.revision) == ("openvino", "", None)
    assert manifest.model_id.startswith("OpenCLIP-") and manifest.model_id.endswith("checkpoint")
    assert manifest.tokenizer.kind == "bpe" and manifest.tokenizer.context_length == 77
    assert manifest.versions["open_clip_torch"] and manifest.versions["openvino"]
    assert manifest.model_config_json is None
    found = {file.name for file in causal.path.iterdir()} - {"manifest.json"}
    assert found == set(manifest.files) == set(manifest.sizes)
    assert {"image.bin", "text.bin", "token_embedding.npy", "bpe.npz", "probe.npz"} <= found
    causal.verify()
    assert causal.path.stat().st_mode & 0o777 == 0o755
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in causal.path.iterdir())
    assert open_bundle(causal.path).manifest == manifest


def test_nothing_but_the_bundle_is_left_beside_it(causal: Bundle) -> None:
    assert {path.name for path in causal.path.parent.iterdir()} == {"checkpoint", "openvino"}


def test_the_preprocessing_comes_along(tmp_path: Path) -> None:
    chosen = {
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "interpolation": "bilinear",
        "resize_mode": "longest",
        "fill_color": 255,
    }
    spec = bake_tiny(tmp_path, CAUSAL, "torch", **chosen).manifest.preprocess
    assert (spec.height, spec.width) == (32, 32)
    assert spec.mean == (0.1, 0.2, 0.3) and spec.std == (0.4, 0.5, 0.6)
    assert (spec.interpolation, spec.resize_mode, spec.fill_color) == ("bilinear", "longest", 255)


def test_the_torch_engine_is_in_the_same_space(causal: Bundle, tmp_path: Path) -> None:
    baked = bake_tiny(tmp_path, CAUSAL, "torch")
    assert baked.manifest.space == causal.manifest.space
    assert baked.manifest.engine == "torch"
    embedders = [
        Embedder(found, Settings(engine=found.manifest.engine)) for found in (baked, causal)
    ]
    texts, images = [*TEXTS, *unseen_texts()], [Image(d, n) for n, d in sample_pictures().items()]
    one, other = (embed(embedder, texts, images, Options()).vectors for embedder in embedders)
    assert cosines(one, other).min() >= LOWEST
    assert embedders[0].default_space == embedders[1].default_space
    with pytest.raises(SetupError, match="was baked for ENGINE=torch, and ENGINE=openvino is set"):
        Embedder(baked, Settings())


def test_what_openvino_cannot_take_the_torch_engine_can(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        bake_tiny(tmp_path, UNCONVERTIBLE)
    assert "No conversion rule found for operations: aten._upsample" in str(caught.value)
    assert "bake with --engine torch" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert min(worst_cosines(bake_tiny(tmp_path, UNCONVERTIBLE, "torch"))) >= LOWEST


def test_other_weights_make_another_space(causal: Bundle, tmp_path: Path) -> None:
    name = write(tmp_path / "checkpoint", CAUSAL, build(CAUSAL, seed=1))
    other = bake(BakeRequest(name, "", tmp_path / "torch", engine="torch"))
    assert other.manifest.weights_sha256 != causal.manifest.weights_sha256
    assert other.manifest.space != causal.manifest.space


def test_a_checkpoint_file_for_a_built_in_architecture(tmp_path: Path) -> None:
    model = build(open_clip.get_model_config("ViT-S-32-alt"))
    file = tmp_path / "epoch_3.pt"
    # As open_clip's training writes it: nested, and from several GPUs.
    state = {f"module.{name}": value.half() for name, value in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, file)
    baked = bake(BakeRequest("ViT-S-32-alt", str(file), tmp_path / "out", engine="torch"))
    file.unlink()
    assert baked.manifest.model_id == "OpenCLIP-ViT-S-32-alt-epoch_3"
    assert baked.manifest.pretrained == str(file)
    assert (baked.manifest.dim, baked.manifest.revision) == (256, None)
    vectors = embed(Embedder(baked, Settings(engine="torch")), ["red sofa"], [], Options()).vectors
    tokens = open_clip.get_tokenizer("ViT-S-32-alt")(["red sofa"])
    with torch.inference_mode():
        expected = model.half().float().encode_text(tokens).numpy()
    assert cosines(vectors, expected).min() >= LOWEST
    (baked.path / "weights.safetensors").unlink()


def test_an_older_bundle_is_replaced_and_an_empty_folder_filled(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    first = bake_tiny(tmp_path, CAUSAL, "torch")
    (first.path / "left over").write_text("from another version")
    second = bake_tiny(tmp_path, CAUSAL, "torch")
    assert second.path == first.path and second.manifest.files == first.manifest.files
    assert not (first.path / "left over").exists()
