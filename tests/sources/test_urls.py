"""Which URLs IMAGE_HOSTS lets through, and what they are looked up as."""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.errors import SetupError
from handler.settings import Settings
from handler.sources import Sources
from handler.sources.addresses import Address
from handler.sources.allowed import Hosts
from handler.sources.refusals import Refused
from sources.conftest import refusal
from sources.special import SPECIAL_6, any_4, inside, special_4


def code(url: str, hosts: str, found: list[Address] | None = None) -> tuple[str, list[str]]:
    """Return the code a URL gets with the strict rules, and the names that were looked up."""
    asked: list[str] = []

    def resolve(name: str, port: int) -> list[Address]:
        asked.append(name)
        if found is None:
            raise socket.gaierror
        return found

    sources = Sources(Settings(image_hosts=hosts), resolve=resolve)
    (error,) = sources.fetch([(url, "image")])
    sources.close()
    return refusal(error)[0], asked


@settings(deadline=None)
@given(special_4 | inside(SPECIAL_6).map(IPv6Address))
def test_a_listed_host_with_a_special_address_is_refused(address: Address) -> None:
    assert code("https://a.example/", "a.example", [address]) == (
        "image_url_refused",
        ["a.example"],
    )


def octets(value: int) -> list[int]:
    return list(value.to_bytes(4, "big"))


FORMS: list[Callable[[int], str]] = [
    lambda value: str(value),
    lambda value: hex(value),
    lambda value: f"0{value:o}",
    lambda value: ".".join(hex(part) for part in octets(value)),
    lambda value: ".".join(f"0{part:o}" for part in octets(value)),
    lambda value: f"{octets(value)[0]}.{value & 0xFFFFFF}",
    lambda value: f"{octets(value)[0]}.{octets(value)[1]}.{value & 0xFFFF}",
    lambda value: f"{IPv4Address(value)}",
    lambda value: f"{IPv4Address(value)}.",
    lambda value: f"[::ffff:{IPv4Address(value)}]",
    lambda value: f"[::{IPv4Address(value)}]",
    lambda value: f"[64:ff9b::{IPv4Address(value)}]",
]


@settings(deadline=None)
@given(any_4 | special_4, st.sampled_from(FORMS))
def test_no_form_of_an_address_passes_a_list_of_names(
    address: IPv4Address, form: Callable[[int], str]
) -> None:
    url = f"https://{form(int(address))}/latest/meta-data"
    assert code(url, "*.example, a.example, localhost", [ip_address("8.8.8.8")]) == (
        "image_url_refused",
        [],
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/",
        "HTTP://a.example/",
        "https://",
        "https:///a",
        "https://?a",
        "https://a.example:444/",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a.example:99999999/",
        "https://a.example:/",
        "https://a.example:x/",
        "https://a.example:443:443/",
        "https://b.example/",
        "https://sub.a.example/",
        "https://wild.example/",
        "https://.wild.example/",
        "https://a..wild.example/",
        "https://notwild.example/",
        "https://a.example.evil.example/",
        "https://a.example../",
        "https://user@a.example/",
        "https://user:password@a.example/",
        "https://a.example@b.example/",
        "https://b.example#@a.example/",
        "https://b.example\\@a.example/",
        "https://b.example/\\a.example",
        "https://a.example\t/",
        "https://a.exa\nmple/",
        "https://a.example /",
        "https://a.example/ a",
        "https://a.example/\x00",
        "https://a.example/ü",
        "https://bücher.example/",
        "https://a。example/",
        "https://ａ.example/",
        "https://a%2eexample/",
        "https://%61.example/",
        "https://[::1]/",
        "https://[a.example]/",
        "https://-a.wild.example/",
        f"https://{'a' * 64}.wild.example/",
        f"https://{'a.' * 130}wild.example/",
        "https://a.example/" + "a" * 8192,
        "https://٣.wild.example/",
        "https://\u212a.example/",
    ],
)
def test_refused_before_anything_is_looked_up(url: str) -> None:
    hosts = "a.example, *.wild.example, k.example"
    assert code(url, hosts) == ("image_url_refused", [])


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example", "a.example"),
        ("HTTPS://A.EXAMPLE/", "a.example"),
        ("https://a.example./", "a.example"),
        ("https://a.example:443/", "a.example"),
        ("https://a.example?a", "a.example"),
        ("https://a.example#a", "a.example"),
        ("https://a.example/@b.example", "a.example"),
        ("https://b.wild.example/", "b.wild.example"),
        ("https://d.c_c.b-b.wild.example/", "d.c_c.b-b.wild.example"),
        ("https://xn--bcher-kva.example/%C3%BC", "xn--bcher-kva.example"),
        ("https://port.example:8443/", "port.example"),
        ("https://deep.port.example:8443/", "deep.port.example"),
        ("https://8.8.8.8/", "8.8.8.8"),
    ],
)
def test_listed(url: str, host: str) -> None:
    """They get as far as the look-up, which finds nothing here."""
    hosts = (
        "a.example,*.WILD.example , xn--bcher-kva.example,,port.example:8443, "
        "*.port.example:8443, 8.8.8.8"
    )
    assert code(url, hosts) == ("image_fetch_failed", [host])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a.example/?s", "only https:// is fetched, from hosts in IMAGE_HOSTS"),
        ("https://me:s@a.example/", "a user name or password"),
        ("https://b.example/?s", "is on the host b.example, which is not in IMAGE_HOSTS"),
        ("https://a.example:444/?s", "a.example with port 444, which is not in IMAGE_HOSTS"),
        ("https://0x7f.1/?s", "host or port is not one; IMAGE_HOSTS lists what is"),
        ("https://bücher.example/?s", "in the xn-- form"),
    ],
)
def test_the_reason_names_the_setting_and_never_the_url(url: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        Hosts("a.example").admit(url)
    assert reason in refused.value.reason
    assert "?s" not in refused.value.reason and "me:s" not in refused.value.reason


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(["https://", "http://", "s3://", "HttpS://a.example"]))
def test_any_text_gets_an_answer(text: str, scheme: str) -> None:
    found, asked = code(scheme + text, "a.example")
    assert found in ("image_url_refused", "image_fetch_failed")
    assert set(asked) <= {"a.example"}


@pytest.mark.parametrize(
    "hosts",
    [
        "*",
        "*.",
        "a..example",
        "a.example:0",
        "a:99999",
        "*.10.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
    ],
)
def test_an_entry_that_is_no_host_stops_the_start(hosts: str) -> None:
    with pytest.raises(SetupError, match="IMAGE_HOSTS"):
        Sources(Settings(image_hosts=hosts))
