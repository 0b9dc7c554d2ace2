"""The environment: the predecessor's variables, clear refusals, and no variable undocumented."""

from pathlib import Path

import pytest

from handler.errors import SetupError
from handler.locate import SHIPPED, cached_path, find_bundle, find_or_bake
from handler.settings import LAMBDA_MAX_BODY, Settings, load_settings
from tools.docker_engine import ROOT


def test_predecessors_defaults() -> None:
    assert load_settings({}).identity() == (
        "ViT-B-32",
        "laion2b_s34b_b79k",
        "OpenCLIP-ViT-B-32-laion2B",
    )


@pytest.mark.parametrize(
    ("environ", "identity"),
    [
        (
            {
                "MODEL_NAME": "ViT-L-14",
                "MODEL_PRETRAINED": "laion2b_s32b_b82k",
                "MODEL_ID": "OpenCLIP-ViT-L-14-laion2B",
            },
            ("ViT-L-14", "laion2b_s32b_b82k", "OpenCLIP-ViT-L-14-laion2B"),
        ),
        ({"MODEL_PRETRAINED": "openai"}, ("ViT-B-32", "openai", "OpenCLIP-ViT-B-32-openai")),
        ({"MODEL_NAME": "RN50"}, ("RN50", "", "OpenCLIP-RN50")),
        ({"MODEL_NAME": "hf-hub:a/b"}, ("hf-hub:a/b", "", "OpenCLIP-a-b")),
        ({"MODEL_PRETRAINED": "/x/best.pt"}, ("ViT-B-32", "/x/best.pt", "OpenCLIP-ViT-B-32-best")),
        ({"MODEL_NAME": ""}, ("ViT-B-32", "laion2b_s34b_b79k", "OpenCLIP-ViT-B-32-laion2B")),
    ],
)
def test_a_model_never_answers_under_anothers_name(
    environ: dict[str, str], identity: tuple[str, str, str]
) -> None:
    assert load_settings(environ).identity() == identity


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"MAX_ITEMS": "many"}, "MAX_ITEMS='many'"),
        ({"MAX_PIXELS": "0"}, "MAX_PIXELS='0'"),
        ({"PRECISION": "int4"}, "PRECISION='int4'"),
        ({"ENGINE": "torch", "PRECISION": "f16"}, "PRECISION=f16 needs DEVICE=cuda"),
        ({"DEVICE": "cuda"}, "DEVICE=cuda needs ENGINE=torch"),
    ],
)
def test_a_wrong_value_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SetupError, match=message):
        load_settings(environ)


def test_lambda_lowers_the_payload_limits_unless_told() -> None:
    on_lambda = {"AWS_LAMBDA_FUNCTION_NAME": "f"}
    assert load_settings(on_lambda).max_body_bytes == LAMBDA_MAX_BODY
    assert load_settings(on_lambda).max_response_bytes == LAMBDA_MAX_BODY
    assert load_settings(on_lambda | {"MAX_BODY_BYTES": "2000"}).max_body_bytes == 2000


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    for name, field in Settings.model_fields.items():
        rows = [line for line in page.splitlines() if line.startswith(f"| `{name.upper()}` |")]
        assert len(rows) == 1, name
        assert str(field.description) in rows[0], name
        default = field.default
        shown = str(default) if str(default) not in ("", "None") else "–"
        assert f"| {shown} |" in rows[0].replace("`", ""), (name, shown)


def test_which_bundle_answers(tmp_path: Path) -> None:
    shipped = find_bundle(Settings(model_name="shapes-tiny"))
    assert shipped is not None
    assert shipped.path == SHIPPED
    named = find_bundle(Settings(bundle_dir=SHIPPED))
    assert named is not None
    assert named.manifest == shipped.manifest
    assert find_bundle(Settings(openclip_cache=tmp_path)) is None


def test_the_cache_tells_models_engines_and_files_apart(tmp_path: Path) -> None:
    checkpoint = tmp_path / "a.pt"
    checkpoint.write_bytes(b"one")
    base = Settings(openclip_cache=tmp_path, model_pretrained=str(checkpoint))
    first = cached_path(base)
    paths = {
        first,
        cached_path(base.model_copy(update={"engine": "torch"})),
        cached_path(base.model_copy(update={"model_name": "RN50"})),
        cached_path(base.model_copy(update={"model_revision": "abc"})),
    }
    checkpoint.write_bytes(b"another")
    paths.add(cached_path(base))
    assert len(paths) == 5
    assert cached_path(base) == cached_path(base)
    assert all(path.parent == tmp_path for path in paths)


def test_no_half_written_bundle_is_taken_for_one(tmp_path: Path) -> None:
    settings = Settings(
        openclip_cache=tmp_path, model_name="RN50", model_pretrained=str(tmp_path / "no.pt")
    )
    cached_path(settings).mkdir()
    assert find_bundle(settings) is None
    with pytest.raises(SetupError, match=r"neither a file nor a tag of RN50 \(openai"):
        find_or_bake(settings)
