"""Shared fixtures: the shipped model, loaded once, and an app around it."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from handler.app import create_app
from handler.bundle import Bundle, open_bundle
from handler.embedder import Embedder
from handler.frame import Record
from handler.locate import SHIPPED
from handler.settings import Settings

ROOT = Path(__file__).parents[1]

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


def picture(
    mode: str = "RGB", size: tuple[int, int] = (80, 60), format_name: str = "PNG", **options: object
) -> bytes:
    """Return the file bytes of a deterministic noisy picture."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, format_name, **options)
    return out.getvalue()
