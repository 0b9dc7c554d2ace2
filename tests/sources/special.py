"""IANA's special-purpose addresses, to draw from."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

from hypothesis import strategies as st

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
