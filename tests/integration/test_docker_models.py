"""What the images may hold: a full-size model, the torch engine, a model from the hub's cache."""

import subprocess
from pathlib import Path

from hub import one_commit, write_cache

from benchmarks.container import TAG, build
from handler.bake.checkpoint import open_clip, torch
from tools.docker_engine import INVOKE, LAMBDA_ARGUMENTS, LAMBDA_LIMITS, ROOT, Engine


def test_a_full_size_model_within_3008_mb(engine: Engine, tmp_path: Path) -> None:
    """ViT-B-32 with synthetic weights, from a checkpoint in the build context."""
    torch.manual_seed(0)
    checkpoint = tmp_path / "vit-b-32.pt"
    torch.save(open_clip.create_model("ViT-B-32").state_dict(), checkpoint)
    build(engine, checkpoint)
    limits = ["--memory=3008m", "--memory-swap=3008m", "--cpus=1.7"]
    with engine.container(TAG, 8080, *LAMBDA_LIMITS, *limits) as (identifier, client):
        engine.wait(client, identifier, "/")
        found = client.post(INVOKE, json={"text": ["red sofa", "a dog"]}).json()
        assert found["dim"] == 512
        assert len(found["embeddings"]) == 2


def test_the_torch_engine_in_the_lambda_image(engine: Engine, lambda_image: str) -> None:
    tag = "openclip-lambda:torch"
    arguments = LAMBDA_ARGUMENTS | {"ENGINE": "torch"}
    engine.build(ROOT, "Dockerfile.lambda", tag, **arguments)
    spaces = []
    for image in (lambda_image, tag):
        with engine.container(image, 8080, *LAMBDA_LIMITS) as (identifier, client):
            engine.wait(client, identifier, "/")
            found = client.post(INVOKE, json={"text": "a red circle"}).json()
            spaces.append(found["space"])
    assert spaces[0] == spaces[1]


def test_the_server_image_takes_a_model_from_a_hub_cache(
    engine: Engine, server_image: str, tmp_path: Path
) -> None:
    shipped = ROOT / "models" / "shapes-tiny"
    names = ["open_clip_config.json", "open_clip_model.safetensors"]
    files = {name: (shipped / name).read_bytes() for name in names}
    write_cache(tmp_path / "huggingface", {"someone/shapes": one_commit(files)})
    subprocess.run(["chown", "-R", "1000:1000", tmp_path], check=True)
    options = [
        "-e=MODEL_NAME=hf-hub:someone/shapes",
        "-e=HF_HUB_OFFLINE=1",
        f"--volume={tmp_path}:/home/user/.cache",
    ]
    with engine.container(server_image, 7860, *options) as (name, client):
        engine.wait(client, name, "/health", 300)
        assert client.get("/").json()["model"] == "OpenCLIP-someone-shapes"
