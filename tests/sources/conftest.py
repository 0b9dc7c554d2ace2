"""A TLS host with a certificate for pictures.example, and Sources that find it there."""

import ssl
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from handler.errors import ServiceError
from handler.settings import Settings
from handler.sources import Sources
from handler.sources.addresses import Address
from sources.scripted import Host, host

LOOPBACK = ip_address("127.0.0.1")

MakeSources = Callable[..., Sources]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certified(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pictures.example", "*.shop.example").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The authority, in SSL_CERT_FILE."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


@pytest.fixture
def pictures(certified: ssl.SSLContext, trusted: trustme.CA) -> Iterator[Host]:
    with host(certified) as found:
        yield found


@pytest.fixture
def make(pictures: Host) -> Iterator[MakeSources]:
    """Makes Sources for which every name is this machine, and this machine is public."""
    made: list[Sources] = []

    def make(
        resolve: Callable[[str, int], list[Address]] = lambda _, __: [LOOPBACK],
        **settings: object,
    ) -> Sources:
        given = {"image_hosts": f"pictures.example:{pictures.port}"} | settings
        found = Sources(
            Settings.model_validate(given),
            resolve=resolve,
            allow_address=lambda address: address == LOOPBACK,
        )
        made.append(found)
        return found

    yield make
    for found in made:
        found.close()


def refusal(found: bytes | ServiceError) -> tuple[str, str]:
    """Return code and message of an error."""
    assert isinstance(found, ServiceError), found[:100]
    assert found.field is not None and found.message.startswith(found.field)
    return found.code, found.message
