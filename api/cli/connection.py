"""Which service the commands talk to: `VIVIDEO_URL` and `VIVIDEO_API_KEY`, or the local stack's own notes."""

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_URL = "http://127.0.0.1:8000"
NOTES = "stack.json"
"""Written into the state directory by a running local stack: `{"api": {"url": …}, "api_key": …}`."""


class NoKey(Exception):
    """There is an address but no key for it."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"no API key for {url}: set VIVIDEO_API_KEY=vv_…, or start a local stack with `vivideo up`, which makes one"
        )


@dataclass(frozen=True)
class Connection:
    """Address and key of a service."""

    url: str
    api_key: str


def find() -> Connection:
    """The environment first, then the nearest local stack. Raises NoKey."""
    url, api_key = os.environ.get("VIVIDEO_URL", "").rstrip("/"), os.environ.get("VIVIDEO_API_KEY", "")
    if not (url and api_key):
        stack_url, stack_key = _stack()
        # A key belongs to its server: the stack's is never sent to another address.
        if not api_key and url in ("", stack_url):
            api_key = stack_key
        url = url or stack_url or DEFAULT_URL
    if not api_key:
        raise NoKey(url)
    return Connection(url, api_key)


def _stack() -> tuple[str, str]:
    """Address and key of the nearest local stack, or two empty texts."""
    for _, notes in stacks():
        try:
            return str(notes["api"]["url"]).rstrip("/"), str(notes["api_key"])
        except (KeyError, TypeError):
            continue
    return "", ""


def stacks() -> Iterator[tuple[Path, Any]]:
    """State directory and notes of each local stack in reach, the nearest first."""
    for directory in _state_directories():
        with contextlib.suppress(OSError, ValueError):
            yield directory, json.loads(_trusted(directory / NOTES))


def _trusted(path: Path) -> str:
    """The text of a file that only we (or root) could have written: a stranger's notes would send our key to them.
    Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as file:
        about = os.fstat(file.fileno())
        if about.st_uid not in (0, os.geteuid()) or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"{path} may have been written by somebody else")
        return file.read()


def _state_directories() -> Iterator[Path]:
    """The named one alone, or `.vivideo` here, above, and beside the installed program."""
    if named := os.environ.get("VIVIDEO_STATE_DIR"):
        yield Path(named)
        return
    here = Path.cwd()
    for directory in (here, *here.parents, Path(__file__).resolve().parents[2]):
        yield directory / ".vivideo"
