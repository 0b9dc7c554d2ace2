"""One browser and one server for all tests of the page; each test starts on a fresh page."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browsing import Page, outside
from selenium.webdriver import Chrome
from serving import serving

from tools.browser import chromium
from tools.shapes.draw import draw

DRAWN = ("red circle", "blue square", "green star")


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The origin of a running server with the shipped model."""
    with serving() as origin:
        yield origin


@pytest.fixture
def page(browser: Chrome) -> Iterator[Page]:
    """A page that is watched: it may talk to its own origin only, and the console stays empty."""
    found = Page(browser)
    browser.get("about:blank")
    found.forget()
    found.emulate()
    yield found
    origin = str(found.script("return location.origin"))
    assert outside(found.requests().values(), origin) == []
    complaints = found.complaints()
    if found.refused:
        complaints = [one for one in complaints if "Failed to load resource" not in one]
    assert complaints == []


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Picture files of shapes by name, each drawn large on white."""
    folder = tmp_path_factory.mktemp("drawings")
    rng = np.random.default_rng(305)
    found = {}
    for name in DRAWN:
        colour, shape = name.split()
        found[name] = folder / f"{colour}-{shape}.png"
        draw(colour, shape, "large", rng, 160, "white").save(found[name])
    return found
