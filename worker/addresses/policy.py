"""Which IP addresses may be connected to: public unicast ones; in development also this machine's and its network's.

IPv6 is taken from what IANA has handed out (2000::/3), so that whatever is invented outside of it stays refused:
loopback, link-local, site-local, unique local, multicast, IPv4-mapped, NAT64, discard. What embeds an IPv4 address
within it (6to4, Teredo) is refused whole, as another machine would unpack it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from config.settings import settings

IP = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_SPECIAL = _networks(  # IANA's special-purpose registries
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local; most clouds' metadata
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments; Oracle's metadata
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # automatic multicast tunnelling
    "192.88.99.0/24",  # relays of 6to4
    "192.168.0.0/16",  # private
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved; the last one is broadcast
    "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3ffe::/16",  # the former 6bone
    "3fff::/20",  # documentation
)
_UNICAST = IPv6Network("2000::/3")

_METADATA = _networks(
    "169.254.0.0/16",
    "100.100.100.200/32",  # Alibaba
    "168.63.129.16/32",  # Azure's host, on a public address
    "192.0.0.192/32",  # Oracle
    "fd00:ec2::/32",  # AWS
    "fd20:ce::/32",  # Google
    "fd00:c1::/32",  # Oracle
    "fd00:42::/32",  # Scaleway
)
"""Where clouds tell a machine its credentials: refused whatever else is allowed."""

_LOCAL = _networks("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed beyond https to the public internet."""

    local: bool = False
    """Development: plain http, and names that mean this machine or its network."""
    networks: tuple[Network, ...] = ()
    """Connected to although they are not public; never metadata."""

    def allows(self, address: IP) -> bool:
        """Whether a connection may be made to it."""
        if _within(address, _METADATA):
            return False
        return _within(address, self.networks) or _public(address)


PUBLIC = Policy()
DEVELOPMENT = Policy(local=True, networks=_LOCAL)


def policy() -> Policy:
    """The installation's, by `VIVIDEO_ALLOW_LOCAL_ADDRESSES`."""
    return DEVELOPMENT if settings().servers.allow_local_addresses else PUBLIC


def _public(address: IP) -> bool:
    """By the lists above, and by the library's own as a second opinion."""
    assigned = isinstance(address, IPv4Address) or address in _UNICAST
    return assigned and address.is_global and not _within(address, _SPECIAL)


def _within(address: IP, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
