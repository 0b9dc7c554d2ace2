"""The Lambda entry's start: only what serving needs is imported, and a failure says why."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from event_files import event

from handler.locate import SHIPPED
from tools.rie import Rie

HEAVY = [
    "torch",
    "torchvision",
    "open_clip",
    "boto3",
    "botocore",
    "transformers",
    "tokenizers",
    "huggingface_hub",
    "openvino_telemetry",
    "uvicorn",
    "typer",
    "rich",
]


def test_only_what_serving_needs_is_imported() -> None:
    script = (
        "import json, sys; import handler.lambda_entry; from handler.lambda_entry import handler; "
        f"found = [name for name in {HEAVY} if name in sys.modules]; "
        "absent = sys.modules['openvino.tools.ovc'] is None; "
        "print(json.dumps([found, absent]))"
    )
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=kept | {"MODEL_NAME": "shapes-tiny", "AWS_LAMBDA_FUNCTION_NAME": "openclip"},
        capture_output=True,
        text=True,
        check=True,
    )
    start, found = done.stdout.splitlines()
    assert json.loads(start)["message"] == "init"
    assert json.loads(found) == [[], True]
    assert done.stderr == ""


def broken_bundle(folder: Path) -> Path:
    copy = folder / "bundle"
    shutil.copytree(SHIPPED, copy)
    (copy / "text.bin").write_bytes(b"")
    return copy


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"MODEL_NAME": "ViT-B-32", "OPENCLIP_CACHE": "{folder}"},
            "this image holds no bundle for MODEL_NAME=ViT-B-32; bake it in and set BUNDLE_DIR",
        ),
        ({"BUNDLE_DIR": "{folder}"}, "{folder} is not a bundle: it has no manifest.json"),
        ({"BUNDLE_DIR": "{broken}"}, "{broken}: text.bin is missing or not "),
        ({"THREADS": "many"}, "THREADS='many': "),
        ({"DEVICE": "cuda"}, "DEVICE=cuda needs ENGINE=torch"),
    ],
)
def test_a_start_that_fails_says_why(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    places = {"folder": str(tmp_path / "empty"), "broken": str(broken_bundle(tmp_path))}
    with Rie(**{name: value.format(**places) for name, value in variables.items()}) as rie:
        response = rie.invoke(event("rest_text"))
    assert response.status_code == 502
    assert response.json()["errorType"] == "SetupError"
    wanted = "[ERROR] SetupError: " + sentence.format(**places)
    assert any(line.startswith(wanted) for line in rie.stdout), rie.stdout
    assert not any(line.startswith('{"message":"init"') for line in rie.stdout)
