"""Asset addresses, checked for their form alone: the backend fetches them, this service never does."""

import ipaddress
import re
import socket
import unicodedata
from functools import lru_cache
from urllib.parse import urlsplit

from config.settings import settings

_BAD = re.compile(r"[\x00-\x20\x7f\\]")
_LOCAL_NAMES = (".localhost", ".local", ".internal", ".localdomain")


def checked_url(url: str) -> str:
    """The address, when it is http(s) with a public-looking host and no credentials; raises ValueError otherwise.

    Nothing is resolved: a name may point anywhere, but not at a machine of ours, as nothing of ours follows it.
    """
    if _BAD.search(url):
        raise ValueError("the address holds a space, a control character or a backslash: percent-encode it")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("this is no address") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise ValueError("the address must begin with https:// or http://")
    if not host:
        raise ValueError("the address names no host")
    if "@" in parts.netloc:
        raise ValueError("the address holds a user name or password")
    if not _private_allowed() and is_private(host):
        raise ValueError("the address is a private one, which the backend cannot reach")
    return url


def is_private(host: str) -> bool:
    """Whether a host is, by its text alone, this machine or a private network, however it is written."""
    # Full-width digits and the like are what a resolver would make of them.
    name = unicodedata.normalize("NFKC", host).lower().rstrip(".")
    if name == "localhost" or name.endswith(_LOCAL_NAMES):
        return True
    try:
        literal = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        try:
            # 127.1, 2130706433, 0x7f000001: what inet_aton takes, resolvers take too. It looks nothing up.
            literal = ipaddress.ip_address(socket.inet_aton(name))
        except (OSError, ValueError):
            return False
    mapped = getattr(literal, "ipv4_mapped", None) or getattr(literal, "sixtofour", None)
    return not (mapped or literal).is_global


@lru_cache(maxsize=1)
def _private_allowed() -> bool:
    """With the backend on this machine (the sandbox), the assets may be here too."""
    host = urlsplit(settings().upstream.api_url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
