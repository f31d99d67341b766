"""No address outside the public internet passes, in whatever way it is written."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.addresses.errors import Refused
from worker.addresses.form import parse
from worker.addresses.policy import DEVELOPMENT, PUBLIC

V4 = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
]
V6 = [
    *("::/128", "::1/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
    *("2001::/32", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7"),
    *("fe80::/10", "fec0::/10", "ff00::/8"),
]
FULL_WIDTH = str.maketrans("0123456789.", "０１２３４５６７８９。")

EACH = settings(max_examples=40, deadline=None)
"""For each spelling, on a machine that others use too."""


def _inside(networks: list[str]) -> st.SearchStrategy:
    return st.one_of(*(st.ip_addresses(network=network) for network in networks))


V4_SPELLINGS: dict[str, Callable[[IPv4Address], str]] = {
    "dotted": str,
    "trailing dot": lambda ip: f"{ip}.",
    "full-width": lambda ip: str(ip).translate(FULL_WIDTH),
    "soft hyphen": lambda ip: str(ip).replace(".", "\u00ad."),
    "percent": lambda ip: "".join(f"%{ord(sign):02x}" for sign in str(ip)),
    "decimal": lambda ip: str(int(ip)),
    "hexadecimal": lambda ip: hex(int(ip)),
    "HEXADECIMAL": lambda ip: f"0X{int(ip):X}",
    "octal": lambda ip: f"0{int(ip):o}",
    "octets, hexadecimal": lambda ip: ".".join(map(hex, ip.packed)),
    "octets, octal": lambda ip: ".".join(f"0{octet:o}" for octet in ip.packed),
    "octets, padded": lambda ip: ".".join(f"{octet:04}" for octet in ip.packed),
    "two parts": lambda ip: f"{ip.packed[0]}.{int(ip) & 0xFFFFFF}",
    "three parts": lambda ip: f"{ip.packed[0]}.{ip.packed[1]}.{int(ip) & 0xFFFF}",
    "in brackets": lambda ip: f"[{ip}]",
    "compatible": lambda ip: f"[::{ip}]",
    "mapped": lambda ip: f"[::ffff:{ip}]",
    "mapped, hexadecimal": lambda ip: f"[::ffff:{int(ip) >> 16:x}:{int(ip) & 0xFFFF:x}]",
    "translated": lambda ip: f"[::ffff:0:{ip}]",
    "NAT64": lambda ip: f"[64:ff9b::{ip}]",
    "local NAT64": lambda ip: f"[64:ff9b:1::{ip}]",
    "6to4": lambda ip: f"[2002:{int(ip) >> 16:x}:{int(ip) & 0xFFFF:x}::1]",
    "Teredo": lambda ip: f"[{IPv6Address((0x20010000 << 96) + (int(ip) ^ 0xFFFFFFFF))}]",
}
V6_SPELLINGS: dict[str, Callable[[IPv6Address], str]] = {
    "short": lambda ip: f"[{ip}]",
    "long": lambda ip: f"[{ip.exploded}]",
    "LONG": lambda ip: f"[{ip.exploded.upper()}]",
    "dotted end": lambda ip: f"[{ip.exploded[:29]}:{IPv4Address(ip.packed[12:])}]",
    "zone": lambda ip: f"[{ip}%25lo]",
    "no brackets": str,
    "percent": lambda ip: f"[{ip}]".replace(":", "%3a"),
}


@pytest.mark.parametrize("spelling", V4_SPELLINGS)
@EACH
@given(data=st.data())
def test_no_special_ipv4_address_passes_in_any_spelling(spelling: str, data: st.DataObject):
    """Private, reserved, multicast…: from each network, as a resolver's answer and as text."""
    address = data.draw(_inside(V4))
    assert not PUBLIC.allows(address)
    with pytest.raises(Refused):
        parse(f"https://{V4_SPELLINGS[spelling](address)}/", PUBLIC)


@pytest.mark.parametrize("spelling", V6_SPELLINGS)
@EACH
@given(data=st.data())
def test_no_special_ipv6_address_passes_in_any_spelling(spelling: str, data: st.DataObject):
    """The same for IPv6."""
    address = data.draw(_inside(V6))
    assert not PUBLIC.allows(address)
    with pytest.raises(Refused):
        parse(f"https://{V6_SPELLINGS[spelling](address)}/", PUBLIC)


@given(st.ip_addresses())
def test_nothing_that_the_library_calls_local_passes(address: IPv4Address | IPv6Address):
    """Whatever Python's own table says is not global, is refused."""
    assert address.is_global or not PUBLIC.allows(address)


@given(_inside(["1.0.0.0/8", "8.8.8.0/24", "203.0.114.0/24", "2400::/12", "2606:4700::/32", "2a00::/12"]))
def test_public_addresses_pass(address: IPv4Address | IPv6Address):
    """As answers and as text, which is kept in its usual spelling."""
    assert PUBLIC.allows(address)
    assert DEVELOPMENT.allows(address)
    host = f"[{address}]" if address.version == 6 else str(address)
    assert parse(f"https://{host}/", PUBLIC).host == str(address)


@given(_inside(["169.254.0.0/16", "fd00:ec2::/32", "fd20:ce::/32", "168.63.129.16/32", "100.100.100.200/32"]))
def test_metadata_is_never_allowed(address: IPv4Address | IPv6Address):
    """Not in development either."""
    assert not DEVELOPMENT.allows(address)


@pytest.mark.parametrize("network", ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd12::/16"])
def test_development_allows_the_usual_private_networks(network: str):
    """Their first and last addresses, which are refused elsewhere."""
    inside = ip_network(network)
    assert DEVELOPMENT.allows(inside[1])
    assert DEVELOPMENT.allows(inside[-1])
    assert not PUBLIC.allows(inside[1])
