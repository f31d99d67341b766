"""Why an address a customer gave was not fetched, each with a stable code and what to do about it.

AddressError                 base; carries the host as it was written, never what it resolved to
├── Refused                  the address itself; the same again is refused again (also a ValueError, for validation)
│   ├── BadForm              address.form: no address, or one that two readers could read in two ways
│   ├── BadScheme            address.scheme: http outside development, a redirect from https to http, another scheme
│   └── Private              address.private: leads into a private network, to this machine, to a cloud's metadata
├── Unreachable              asking later may help
│   ├── Unresolvable         address.unresolvable: the name has no address now
│   ├── NotConnected         address.unreachable: nobody answers there
│   ├── BadCertificate       address.tls: a certificate of another name, expired, or of an unknown authority
│   ├── TimedOut             address.timeout: longer than one step or the whole may take
│   ├── Busy                 address.busy: a fault of ours, not of the address: too many names are looked up here
│   └── Cut                  address.cut: the answer broke off, or is no HTTP
└── Unusable                 there was an answer, but no use in it
    ├── TooManyRedirects     address.redirects
    ├── TooLarge             address.too_large: on the wire, or once it is decompressed
    └── BadEncoding          address.encoding: compressed in a way that was not asked for, or wrongly
"""

from typing import ClassVar


class AddressError(Exception):
    """A fetch that did not happen or did not end well. `str()` is a sentence for the customer, `help` the remedy.

    `host` is as the customer wrote it; `hops` counts the redirects before it. Neither the path and query, which may be
    signed, nor a resolved address is kept.
    """

    code: ClassVar[str]
    what: ClassVar[str]
    help: ClassVar[str]

    def __init__(self, what: str = "", *, host: str = "", hops: int = 0) -> None:
        super().__init__(what)  # its only argument, so that it survives a process boundary with its facts
        self.detail, self.host, self.hops = what or self.what, host, hops

    def __str__(self) -> str:
        where = f" ({self.host})" if self.host else ""
        return f"{'after a redirect, ' if self.hops else ''}{self.detail}{where}"


class Refused(AddressError, ValueError):
    """Not to be fetched at all."""


class BadForm(Refused):
    """The text is no http(s) address that everybody reads alike."""

    code = "address.form"
    what = "this is no address"
    help = "Write it as https://host/path, with an optional port."


class BadScheme(Refused):
    """Another scheme than is allowed here."""

    code = "address.scheme"
    what = "the address must begin with https://"
    help = "Serve it over https; redirect to https addresses only."


class Private(Refused):
    """The host is not on the public internet."""

    code = "address.private"
    what = "the address leads to a private network or to this machine"
    help = "Use an address on the public internet; for development see VIVIDEO_ALLOW_LOCAL_ADDRESSES."


class Unreachable(AddressError):
    """No whole answer; the same again may get one."""


class Unresolvable(Unreachable):
    """The name did not resolve."""

    code = "address.unresolvable"
    what = "the host name was not found"
    help = "Check the spelling and the name's DNS records."


class NotConnected(Unreachable):
    """No connection at any of the name's addresses."""

    code = "address.unreachable"
    what = "the host cannot be reached"
    help = "Check that the server runs and that its firewall lets the port through."


class BadCertificate(Unreachable):
    """The server could not prove its name."""

    code = "address.tls"
    what = "the host's certificate was not accepted"
    help = "Install a valid certificate for this name, with its intermediate certificates."


class TimedOut(Unreachable):
    """Too slow."""

    code = "address.timeout"
    what = "the host took too long"
    help = "Have the server answer faster."


class Busy(Unreachable):
    """This process found no place to look the name up. Says nothing of the address."""

    code = "address.busy"
    what = "too many other host names were being looked up"
    help = "Nothing is wrong with the address: try again in a minute."


class Cut(Unreachable):
    """The connection ended before the answer did."""

    code = "address.cut"
    what = "the host's answer broke off or is no HTTP"
    help = "Check the server's own log for this request."


class Unusable(AddressError):
    """An answer that cannot be taken."""


class TooManyRedirects(Unusable):
    """More redirects than are followed."""

    code = "address.redirects"
    what = "the host redirects too often"
    help = "Give the address where the redirects end."


class TooLarge(Unusable):
    """A body above the limit."""

    code = "address.too_large"
    what = "the host's answer is too large"
    help = "Send less; the limit holds before and after decompression."


class BadEncoding(Unusable):
    """A body that cannot be decompressed."""

    code = "address.encoding"
    what = "the host's answer is compressed in a way that cannot be undone"
    help = "Send it uncompressed or as gzip."
