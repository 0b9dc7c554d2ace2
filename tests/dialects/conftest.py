"""Real server processes for the official clients, shared by all of their tests."""

from collections.abc import Iterator

import pytest
from test_server import server, wait_until_ready

# Nobody reads the process's log meanwhile, and a full pipe would stop it.
QUIET = {"LOG_LEVEL": "error", "THREADS": "1"}
KEY = "sesame"


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """Base URL of a server with the shipped model."""
    with server(**QUIET) as (_, client):
        wait_until_ready(client)
        yield str(client.base_url).rstrip("/")


@pytest.fixture(scope="session")
def locked_url() -> Iterator[str]:
    """The same of one that asks for the key `sesame`."""
    with server(**QUIET, API_KEY=KEY) as (_, client):
        wait_until_ready(client)
        yield str(client.base_url).rstrip("/")
