"""No private address is reached, however it is written, wrapped or named."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st

from handler.settings import Settings
from handler.sources import Sources
from handler.sources.addresses import Address, is_public, look_up

# IANA's special-purpose address registries, multicast and what is not handed out.
SPECIAL_4 = [
    "0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32",
    "192.0.0.10/32", "192.0.0.170/31", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
    "169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "168.63.129.16/32",
]  # fmt: skip
SPECIAL_6 = [
    "::1/128", "::/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64",
    "100:0:0:1::/64", "2001::/23", "2001::/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128",
    "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28", "2001:20::/28",
    "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16",
    "4000::/3", "fc00::/7", "fd00:ec2::254/128", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip


def inside(networks: list[str]) -> st.SearchStrategy[int]:
    """Any address of any of the networks, both ends often among them."""

    def of(network: str) -> st.SearchStrategy[int]:
        found = IPv6Network(network) if ":" in network else IPv4Network(network)
        first, last = int(found.network_address), int(found.broadcast_address)
        return st.sampled_from([first, last]) | st.integers(first, last)

    return st.sampled_from(networks).flatmap(of)


special_4 = inside(SPECIAL_4).map(IPv4Address)
any_4 = st.ip_addresses(v=4)


@given(special_4)
def test_no_special_ipv4_address_is_public(address: IPv4Address) -> None:
    assert not is_public(address)


@given(inside(SPECIAL_6).map(IPv6Address))
def test_no_special_ipv6_address_is_public(address: IPv6Address) -> None:
    assert not is_public(address)


@given(special_4, st.integers(0, 2**80 - 1))
def test_none_is_when_wrapped_in_ipv6(address: IPv4Address, rest: int) -> None:
    value = int(address)
    mapped, compatible, translated = 0xFFFF << 32 | value, value, 0xFFFF << 48 | value
    nat64 = 0x64FF9B << 96 | value
    sixto4 = 0x2002 << 112 | value << 80 | rest
    teredo = 0x20010000 << 96 | rest >> 16 << 32 | value ^ 0xFFFFFFFF
    for wrapped in (mapped, compatible, translated, nat64, sixto4, teredo):
        assert not is_public(IPv6Address(wrapped)), IPv6Address(wrapped)


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


@given(special_4 | inside(SPECIAL_6).map(IPv6Address))
def test_a_listed_host_with_a_special_address_is_refused(address: Address) -> None:
    assert code("https://a.example/", "a.example", [address]) == (
        "image_url_refused",
        ["a.example"],
    )


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


def octets(value: int) -> list[int]:
    return list(value.to_bytes(4, "big"))


FORMS = [
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


@given(any_4 | special_4, st.sampled_from(FORMS))
def test_no_form_of_an_address_passes_a_list_of_names(address: IPv4Address, form: "object") -> None:
    assert callable(form)
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


@given(st.text(max_size=60), st.sampled_from(["https://", "http://", "s3://", "HttpS://a.example"]))
def test_any_text_gets_an_answer(text: str, scheme: str) -> None:
    found, asked = code(scheme + text, "a.example")
    assert found in ("image_url_refused", "image_fetch_failed")
    assert set(asked) <= {"a.example"}


def test_off_by_default_and_says_which_setting() -> None:
    sources = Sources(Settings())
    web, bucket = sources.fetch(
        [("https://a.example/?signature", "image[0]"), ("s3://pictures/key", "image[1]")]
    )
    assert refusal(web) == (
        "image_url_refused",
        "image[0] is a URL, and none is fetched here: IMAGE_HOSTS is empty",
    )
    assert refusal(bucket) == (
        "image_url_refused",
        "image[1] is an s3:// URL, and none is read here: IMAGE_BUCKETS is empty",
    )
    sources.close()
