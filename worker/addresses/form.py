"""The form of an address, checked without asking anybody: what two readers could read in two ways is refused.

Servers behind us may unpack an address by other rules than Python does: full-width digits, octal numbers, a percent
sign in a host, a user name that looks like a host. So a host is accepted in one spelling only, and the address that is
fetched is put together anew from the parts that were checked.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, urljoin, urlsplit

import idna

from worker.addresses.errors import BadForm, BadScheme, Private
from worker.addresses.policy import IP, PUBLIC, Policy, policy

_UNREADABLE = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff\\]")
_AUTHORITY = re.compile(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PLAIN = re.compile(r"https?://(?P<host>[a-z0-9.-]+)(?:[/?#][\x21-\x5b\x5d-\x7e]*)?")
"""Most addresses: nothing in them could be read in two ways but the host. A feed has them by the hundred thousand."""
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_NAMES = frozenset(
    {
        "localhost",
        "local",
        "localdomain",
        "internal",
        "intranet",
        "private",
        "corp",
        "home",
        "lan",
        "home.arpa",
        "onion",
    }
)
"""Names that are never public, with all below them."""
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})
_TARGET = "!$%&'()*+,/:;=?@[]"
"""Left as they are; what is no ASCII is percent-encoded."""
_USUAL_PORTS = {"http": 80, "https": 443}
# fmt: off
_OTHER_PROTOCOLS = frozenset({
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530,
    531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
    5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
})
# fmt: on
"""Ports that no browser speaks HTTP to (WHATWG Fetch, "bad port"): a request must not pass for a mail or a command."""


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address. `host` is ASCII and lower case, without brackets; `target` is path and query, ASCII."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port, as `Host` and addresses write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _USUAL_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def checked_form(url: str) -> str:
    """`url` itself, where its form allows handing it on to somebody who fetches it; http and https. Raises Refused."""
    plain = _PLAIN.fullmatch(url)
    if plain is None:
        parse(url, policy())
    else:
        _known_host(plain["host"], local=policy().local)
    return url


def checked_target(url: str) -> str:
    """`url` itself, where its form allows this service to fetch it later, by `Guarded`, which looks at what it
    resolves to; https outside development. Raises Refused."""
    parse_target(url, policy())
    return url


def parse_target(url: str, allowed: Policy) -> Address:
    """As `parse`, for this service to fetch: plain http in development alone."""
    address = parse(url, allowed)
    if address.scheme != "https" and not allowed.local:
        raise BadScheme(host=address.host)
    return address


def redirected(start: Address, location: str, allowed: Policy) -> Address:
    """Where a redirect leads, checked like a new address; from https to http is refused in development too."""
    try:
        onward = urljoin(str(start), location)
    except ValueError:
        raise BadForm from None
    address = parse_target(onward, allowed)
    if (start.scheme, address.scheme) == ("https", "http"):
        raise BadScheme("the host redirects from https to http", host=address.host)
    return address


def parse(url: str, allowed: Policy) -> Address:
    """The parts of an http(s) address; raises BadForm, BadScheme, or Private for a host that is local by its text."""
    if _UNREADABLE.search(url):
        raise BadForm("the address holds a space, a control character or a backslash: percent-encode it")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadForm from None
    if parts.scheme not in _USUAL_PORTS:
        raise BadScheme("the address must begin with https:// or http://")
    if "@" in parts.netloc:
        raise BadForm("the address holds a user name or password")
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if not authority:
        raise BadForm
    six, name = authority["six"], authority["name"]
    host = _ipv6(six, allowed) if name is None else _host(name, allowed)
    port = _port(authority["port"], parts.scheme)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme, host, port, quote(target, safe=_TARGET))


def _port(text: str | None, scheme: str) -> int:
    port = int(text) if text else _USUAL_PORTS[scheme]
    if not 0 < port < 65536:
        raise BadForm("the address holds a port that does not exist")
    if port in _OTHER_PROTOCOLS:
        raise BadForm(f"port {port} belongs to another protocol than HTTP")
    return port


def _ipv6(text: str, allowed: Policy) -> str:
    try:
        literal = IPv6Address(text)
    except AddressValueError:
        raise BadForm from None
    if literal.scope_id is not None:  # of one link of this machine
        raise Private
    return _allowed(literal, allowed)


def _host(text: str, allowed: Policy) -> str:
    """A name, or an IPv4 address in the one spelling that nobody reads as another."""
    name = _ascii(text).removesuffix(".")
    labels = name.split(".")
    if not name:
        raise BadForm("the address names no host")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise BadForm("the address holds no valid host name")
    if _NUMBER.fullmatch(labels[-1]):
        return _allowed(_ipv4(name), allowed)
    if name in _METADATA_NAMES or (not allowed.local and _is_local(labels)):
        raise Private
    return name


@lru_cache(maxsize=1024)
def _known_host(text: str, *, local: bool) -> str:
    """As `_host`, remembered: a shop's pictures are on a host or two."""
    return _host(text, policy() if local else PUBLIC)


def _ascii(text: str) -> str:
    """What a resolver makes of a name: 127。0。0。1 and full-width digits become what they look like (UTS 46)."""
    try:
        name = idna.uts46_remap(text, std3_rules=False)
        return name if name.isascii() else idna.encode(name).decode()
    except UnicodeError:
        raise BadForm("the address holds no valid host name") from None


def _ipv4(text: str) -> IPv4Address:
    """127.1, 0x7f.1, 0177.0.0.1 and 2130706433 are one machine to some readers and none to others."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise BadForm("an IP address is written as four decimal numbers") from None


def _allowed(literal: IP, allowed: Policy) -> str:
    if not allowed.allows(literal):
        raise Private
    return str(literal)


def _is_local(labels: list[str]) -> bool:
    """A single label is looked up in the machine's own search domains."""
    return len(labels) == 1 or bool({labels[-1], ".".join(labels[-2:])} & _LOCAL_NAMES)
