"""The state directory: private, held by one stack at a time; its secrets and its notes for other programs."""

import contextlib
import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any

from .errors import AlreadyRunning, LocalError
from .servers import private_directory

NOTES = "stack.json"
"""Address, key and process ids of the running stack, for the command line and for scripts (mode 600)."""


class State:
    """A state directory held by this process until it ends, however it ends (the kernel drops the lock)."""

    def __init__(self, directory: Path) -> None:
        _refuse_if_shared(directory.resolve())
        self.directory = private_directory(directory.resolve())
        self.logs = private_directory(self.directory / "logs")
        self._lock = self._take()

    def release(self) -> None:
        """Remove the notes and let another stack have the directory."""
        (self.directory / NOTES).unlink(missing_ok=True)
        self._lock.close()

    def secret(self, name: str, prefix: str = "") -> str:
        """The secret kept in the file `name`; made the first time."""
        path = self.directory / name
        if not path.exists():
            write_private(path, prefix + secrets.token_urlsafe(32) + "\n")
        return path.read_text().strip()

    def note(self, notes: dict[str, Any]) -> None:
        """Publish what other programs need to find this stack. A full disk must not end the supervision: the notes are
        then old, and written again with the next change."""
        with contextlib.suppress(OSError):
            write_private(self.directory / NOTES, json.dumps(notes, indent=2) + "\n")

    def _take(self) -> Any:
        path = self.directory / "lock"
        lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lock.read().strip()
            lock.close()
            raise AlreadyRunning(self.directory, holder) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        return lock


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 600 in one step: a reader, or a crash, sees the old text or the new one."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _refuse_if_shared(directory: Path) -> None:
    """Closing /tmp or a home directory to everybody else is not what somebody meant who named it here. Raises
    LocalError."""
    if not directory.is_dir() or (directory / "lock").exists():
        return
    if directory.stat().st_mode & 0o077 and any(directory.iterdir()):
        raise LocalError(
            f"{directory} is in use for other things and open to others: name an empty one with VIVIDEO_STATE_DIR=…"
        )
