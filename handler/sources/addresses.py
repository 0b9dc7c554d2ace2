"""Which IP addresses pictures may be fetched from: public ones.

The ranges are those of IANA's special-purpose registries for IPv4 and IPv6. Python's
`is_global` alone is not enough: its tables differ between patch releases, and an IPv6 address
that carries an IPv4 one is judged by its wrapping.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier NAT; Alibaba's metadata service
        "127.0.0.0/8",  # loopback; Lambda's runtime API
        "168.63.129.16/32",  # Azure's host, from inside its machines
        "169.254.0.0/16",  # link-local; metadata and container credentials
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast relays
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_UNICAST_6: Final = IPv6Network("2000::/3")
"""All that is handed out: loopback, mapped, unique local, link-local, multicast lie outside."""

_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""How an IPv6-only network reaches IPv4; the last 32 bits are the address really reached."""


def is_public(address: Address) -> bool:
    """Say whether an address is a public one, of a machine anybody may reach."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _UNICAST_6 or any(address in network for network in _NOT_PUBLIC_6):
            return False
    elif any(address in network for network in _NOT_PUBLIC_4):
        return False
    return address.is_global


def look_up(host: str, port: int) -> list[Address]:
    """Return a host's addresses in the order to try them.

    Raises:
        OSError: the name cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]
