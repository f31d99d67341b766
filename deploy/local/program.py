"""What the supervisor needs to know of a child."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import urlsplit

from . import leash


class Wave(IntEnum):
    """The order of leaving: who takes work, who does it, what it is done on, where it is written down."""

    FRONT = 0
    WORKERS = 1
    BACKEND = 2
    DATABASE = 3


# Seconds between being asked to leave and being killed; together below the 15 s that a clean stop may take.
PATIENCE = {Wave.FRONT: 2.5, Wave.WORKERS: 7.0, Wave.BACKEND: 1.0, Wave.DATABASE: 3.0}


Ready = Callable[[], Awaitable[bool]]
"""Whether a child does its work."""


def nothing() -> None:
    """Do nothing."""


async def at_once() -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True)
class Program:
    """One child of the stack.

    `command` gives the leashed argument vector, `prepare` runs before every start (it may raise LocalError), `ready`
    tells whether it does its work. A program that runs `once` is ready when it has ended with 0.
    """

    name: str
    command: Callable[[], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    prepare: Callable[[], None] = nothing
    ready: Ready = at_once
    once: bool = False
    wave: Wave = Wave.FRONT
    stop_signal: signal.Signals = signal.SIGTERM
    guarded: bool = True
    """Whether its group is killed with the supervisor; not for PostgreSQL, which is told to shut down instead."""


def python(*arguments: str) -> Callable[[], list[str]]:
    """The command of a Python module of this environment."""
    return lambda: leash.command([sys.executable, *arguments])


def answers(url: str, *statuses: int) -> Ready:
    """Ready when a GET of `url` gets one of `statuses`."""

    async def asked() -> bool:
        try:
            async with asyncio.timeout(5):
                return await _status(url) in statuses
        except (OSError, TimeoutError, ValueError, IndexError):
            return False

    return asked


async def _status(url: str) -> int:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
