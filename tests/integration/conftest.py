"""One engine and one build of each image for all integration tests."""

import pytest
from conftest import ROOT
from docker_engine import Engine
from rie import rie_binary


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine(rie_binary())


@pytest.fixture(scope="session")
def lambda_image(engine: Engine) -> str:
    tag = "openclip-lambda:shapes-tiny"
    engine.build(
        ROOT,
        "Dockerfile.lambda",
        tag,
        MODEL_NAME="shapes-tiny",
        MODEL_PRETRAINED="",
        MODEL_ID="OpenCLIP-shapes-tiny",
    )
    return tag


@pytest.fixture(scope="session")
def server_image(engine: Engine) -> str:
    engine.build(ROOT, "infra/Dockerfile.server", "openclip-server:test")
    return "openclip-server:test"
