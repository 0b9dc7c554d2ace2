"""Both images in a real Docker engine, as Lambda and as the predecessor's users would run them."""

import base64
import shutil
import uuid
from pathlib import Path

import pytest
from pictures import picture

from tools.docker_engine import INVOKE, LAMBDA_ARGUMENTS, LAMBDA_LIMITS, ROOT, Engine

RED_CIRCLE = base64.b64encode((ROOT / "docs" / "red-circle.png").read_bytes()).decode()


@pytest.mark.parametrize("memory", [3008, 10240])
def test_lambda_image_answers_within_lambdas_limits(
    engine: Engine, lambda_image: str, memory: int
) -> None:
    limits = [f"--memory={memory}m", f"--memory-swap={memory}m", "--cpus=1.7", "--network=bridge"]
    size = ["-e", f"AWS_LAMBDA_FUNCTION_MEMORY_SIZE={memory}"]
    options = [*LAMBDA_LIMITS, *limits, *size]
    with engine.container(lambda_image, 8080, *options) as (identifier, client):
        engine.wait(client, identifier, "/")
        event = {"text": ["a red circle", "a blue square"], "image": RED_CIRCLE, "normalize": True}
        found = client.post(INVOKE, json=event).json()
        assert found["model"] == "OpenCLIP-shapes-tiny"
        circle, square, image = found["embeddings"]
        assert sum(map(float.__mul__, circle, image)) > sum(map(float.__mul__, square, image))
        assert "statusCode" in client.post(INVOKE, json={"image": "AAAA"}).json()
        assert client.post(INVOKE, json={"text": "a"}).json()["dim"] == 64
        assert '"message":"init"' in engine.run("logs", identifier)


def test_lambda_image_holds_what_it_needs_and_no_more(engine: Engine, lambda_image: str) -> None:
    config = engine.inspect(lambda_image)["Config"]
    assert config["Cmd"] == ["handler.lambda_entry.handler"]
    assert config["User"] == ""
    script = (
        "import importlib.util as u, os;"
        "print([m for m in ('torch','torchvision','open_clip','uvicorn','transformers')"
        " if u.find_spec(m)], os.listdir('handler'))"
    )
    python = ["run", "--rm", "--user=1000", "--entrypoint=python", lambda_image, "-c"]
    found = engine.run(*python, script)
    assert found.startswith("[]")
    assert "'bake'" not in found
    unreadable = "find /var/task /opt/bundle ! -perm -o=r | head -5"
    shell = ["run", "--rm", "--entrypoint=sh", lambda_image, "-c", unreadable]
    assert engine.run(*shell) == ""
    compiled = "import handler.app as a, os; print(os.path.exists(a.__cached__))"
    assert "True" in engine.run(*python, compiled)


def test_a_code_edit_bakes_nothing_again(engine: Engine, lambda_image: str, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "benchmarks")
    context = tmp_path / "context"
    shutil.copytree(ROOT, context, ignore=ignored)
    shutil.copy(ROOT / ".dockerignore", context)
    edited = context / "handler" / "app.py"
    # An edit nobody made before: the engine may remember the last run of this test.
    edited.write_text(f"{edited.read_text()}\n# {uuid.uuid4()}\n")
    log = engine.build(context, "Dockerfile.lambda", "edited", **LAMBDA_ARGUMENTS)
    steps = log.split("Step ")[1:]
    done_again = [step for step in steps if "Running in" in step and "RUN" in step]
    assert len(done_again) == 1, log
    assert "compileall -q" in done_again[0]


def test_no_weights_is_said_in_a_sentence(engine: Engine, lambda_image: str) -> None:
    with pytest.raises(RuntimeError, match=r"neither a file nor a tag of RN50") as failure:
        engine.build(
            ROOT, "Dockerfile.lambda", "never", MODEL_NAME="RN50", MODEL_PRETRAINED="models/no.pt"
        )
    assert "Traceback" not in str(failure.value)


def test_server_image_serves_the_shipped_model_as_user_1000(
    engine: Engine, server_image: str
) -> None:
    config = engine.inspect(server_image)["Config"]
    assert config["User"] == "1000"
    assert "7860/tcp" in config["ExposedPorts"]
    with engine.container(server_image, 7860, "-e", "MODEL_NAME=shapes-tiny") as (name, client):
        engine.wait(client, name, "/health")
        jpeg = base64.b64encode(picture(format_name="JPEG")).decode()
        found = client.post("/embeddings", json={"text": "red circle", "image": jpeg}).json()
        assert len(found["embeddings"]) == 2
        engine.run("stop", "--time=10", name)
        assert engine.inspect(name)["State"]["ExitCode"] == 0


def test_server_image_bakes_a_checkpoint_once_into_its_volume(
    engine: Engine, server_image: str
) -> None:
    volume = "openclip-test-cache"
    engine.run("volume", "rm", "-f", volume)
    options = [
        "-e=MODEL_NAME=local-dir:/app/models/shapes-tiny",
        "-e=MODEL_ID=Mine",
        f"--volume={volume}:/home/user/.cache",
    ]
    try:
        logs = []
        for _ in range(2):
            with engine.container(server_image, 7860, *options) as (name, client):
                engine.wait(client, name, "/health", 300)
                assert client.get("/").json()["model"] == "Mine"
                logs.append(engine.run("logs", name))
        assert "exporting both towers" in logs[0]
        assert "exporting" not in logs[1]
    finally:
        engine.run("volume", "rm", "-f", volume)
