"""Ports of this machine. Below 32768 only: from there on the kernel takes them for outgoing connections."""

import socket

from .errors import PortTaken

LAST = 32767


_reserved: dict[int, socket.socket] = {}
"""What this process has put its name on, until it ends."""


def claim(name: str) -> socket.socket | None:
    """Take a name that one process of this machine has at a time, until the socket is closed or the process ends; None
    where another has it. An abstract socket's name is the kernel's: taking it is atomic, it leaves no file, and it is
    free again however the process ends."""
    taken = socket.socket(socket.AF_UNIX)
    try:
        taken.bind(f"\0{name}")
    except OSError:
        taken.close()
        return None
    return taken


def reserve(port: int) -> bool:
    """Put this process's name on a port, for as long as it lives: between the look at a port and its server's start lie
    seconds, in which another stack would choose the same."""
    if port in _reserved:
        return True
    claimed = claim(f"vivideo-port-{port}")
    if claimed is None:
        return False
    _reserved[port] = claimed
    return True


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: a port in TIME_WAIT is free. Without SO_REUSEPORT, which would share another's port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose(host: str, port: int, *, setting: str, fixed: bool) -> int:
    """`port`, or where it is taken and not `fixed`, the next free one. Raises PortTaken naming `setting`."""
    if is_free(host, port) and reserve(port):
        return port
    if not fixed:
        for other in range(port + 1, min(port + 100, LAST + 1)):
            if is_free(host, other) and reserve(other):
                return other
    raise PortTaken(host, port, setting)
