"""Where the children's lines go: a log file each and, prefixed and coloured by name, the terminal."""

import contextlib
import os
import sys
from pathlib import Path
from typing import TextIO

ROTATE_BYTES = 20 * 1024 * 1024
"""One older file is kept: a stack that runs for months holds at most 40 MB of logs per process."""
_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)


class LogFile:
    """Appends bytes to a file and starts a new one when it has grown large."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append; a full disk loses lines, it does not stop the child that writes them."""
        with contextlib.suppress(OSError):
            self._append(data)

    def _append(self, data: bytes) -> None:
        if self._file.tell() > ROTATE_BYTES:
            self._file.close()
            self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._file = self.path.open("ab", buffering=0)
        self._file.write(data)

    def close(self) -> None:
        self._file.close()


class Terminal:
    """Lines for the person who started the stack; a closed terminal is no reason to stop."""

    def __init__(self, stream: TextIO | None = None, *, echo: bool = True) -> None:
        self._stream = stream or sys.stdout
        self._echo = echo
        self._coloured = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._prefixes: dict[str, str] = {}

    def line(self, name: str, text: str) -> None:
        """A child's line, when children are echoed."""
        if self._echo:
            self._write(f"{self._prefix(name)}{text}\n")

    def say(self, text: str) -> None:
        """Words of the stack itself."""
        self._write(f"{self._prefix('vivideo')}{text}\n" if self._echo else f"{text}\n")

    def plain(self, text: str) -> None:
        """A block of text as it is."""
        self._write(text + "\n")

    def _prefix(self, name: str) -> str:
        if name not in self._prefixes:
            colour = _COLOURS[len(self._prefixes) % len(_COLOURS)]
            text = f"{name:<13}│ "
            self._prefixes[name] = f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text
        return self._prefixes[name]

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._echo = False
