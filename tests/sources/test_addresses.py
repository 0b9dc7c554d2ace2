"""No special address is public, however it is wrapped."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.settings import Settings
from handler.sources import Sources
from handler.sources.addresses import is_public, look_up
from sources.conftest import refusal
from sources.special import SPECIAL_4, SPECIAL_6, any_4, inside, special_4


@settings(deadline=None)
@given(special_4)
def test_no_special_ipv4_address_is_public(address: IPv4Address) -> None:
    assert not is_public(address)


@settings(deadline=None)
@given(inside(SPECIAL_6).map(IPv6Address))
def test_no_special_ipv6_address_is_public(address: IPv6Address) -> None:
    assert not is_public(address)


@settings(deadline=None)
@given(special_4, st.integers(0, 2**80 - 1))
def test_none_is_when_wrapped_in_ipv6(address: IPv4Address, rest: int) -> None:
    value = int(address)
    mapped, compatible, translated = 0xFFFF << 32 | value, value, 0xFFFF << 48 | value
    nat64 = 0x64FF9B << 96 | value
    sixto4 = 0x2002 << 112 | value << 80 | rest
    teredo = 0x20010000 << 96 | rest >> 16 << 32 | value ^ 0xFFFFFFFF
    for wrapped in (mapped, compatible, translated, nat64, sixto4, teredo):
        assert not is_public(IPv6Address(wrapped)), IPv6Address(wrapped)


@settings(deadline=None)
@given(any_4)
def test_every_other_ipv4_address_is_public(address: IPv4Address) -> None:
    special = any(address in IPv4Network(network) for network in SPECIAL_4)
    assert is_public(address) is not special
    assert is_public(IPv6Address(0x64FF9B << 96 | int(address))) is not special
    assert address.is_global or not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "52.216.0.1", "2606:4700:4700::1111", "2a00:1450::1"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


def test_a_scope_makes_an_address_local() -> None:
    assert not is_public(ip_address("2606:4700:4700::1111%eth0"))
    assert not is_public(ip_address("fe80::1%1"))


def test_localhost_is_refused_though_listed_and_really_resolved() -> None:
    sources = Sources(Settings(image_hosts="localhost, 127.0.0.1"))
    found = sources.fetch([("https://localhost/", "a"), ("https://127.0.0.1/", "b")])
    assert [refusal(error)[0] for error in found] == ["image_url_refused"] * 2
    assert "has a private or reserved address" in refusal(found[0])[1]
    sources.close()


def test_the_real_look_up() -> None:
    assert look_up("127.0.0.1", 443) == [ip_address("127.0.0.1")]
    assert look_up("::1", 443) == [ip_address("::1")]
    with pytest.raises(OSError, match=r"."):
        look_up("nothing.invalid", 443)
