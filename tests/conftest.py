"""Shared fixtures: the shipped model, loaded once, and an app around it."""

import os
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from handler.app import create_app
from handler.bundle import Bundle, open_bundle
from handler.embedder import Embedder
from handler.frame import Record
from handler.locate import SHIPPED
from handler.settings import Settings
from tools.docker_engine import LAMBDA_ARGUMENTS, ROOT, Engine
from tools.rie import binary

# Nothing in the tests may reach a hub; the ones that exercise downloads bring their own server.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return open_bundle(SHIPPED)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(model_name="shapes-tiny")


@pytest.fixture(scope="session")
def embedder(bundle: Bundle, settings: Settings) -> Embedder:
    found = Embedder(bundle, settings)
    found.warm_up()
    return found


@pytest.fixture
def records() -> list[Record]:
    """What the app told its observer, in order."""
    return []


@pytest.fixture
def client(embedder: Embedder, settings: Settings, records: list[Record]) -> Iterator[TestClient]:
    with TestClient(create_app(lambda: embedder, settings, records.append)) as found:
        yield found


@pytest.fixture(scope="session")
def engine() -> Engine:
    """A Docker engine that answers."""
    return Engine(binary())


@pytest.fixture(scope="session")
def lambda_image(engine: Engine) -> str:
    tag = "openclip-lambda:shapes-tiny"
    engine.build(ROOT, "Dockerfile.lambda", tag, **LAMBDA_ARGUMENTS)
    return tag


@pytest.fixture(scope="session")
def server_image(engine: Engine) -> str:
    engine.build(ROOT, "infra/Dockerfile.server", "openclip-server:test")
    return "openclip-server:test"
