"""What a directory of videos remembers: whose batch it holds, and which of its files were looked at.

The file is written whole under another name and then moved, and before a batch is asked for: whenever the command dies,
the next one finds either nothing or the key by which the service knows the batch.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from api.cli.reporting import Mistake

NAME = ".vivideo-batch.json"
LOCK = ".vivideo-batch.lock"
BETWEEN_SECONDS = 2.0
"""Between two writes for files alone: 10,000 of them make a megabyte, and a lost one costs hashing some."""


class Kept(BaseModel):
    """A video as it was when it was last whole: as long as size and time stay, it is not read again."""

    name: str
    sha256: str
    size: int
    mtime_ns: int

    def stands(self, directory: Path, sha256: str) -> bool:
        """Whether the file is still that one."""
        try:
            found = (directory / self.name).stat()
        except OSError:
            return False
        return (self.sha256, self.size, self.mtime_ns) == (sha256, found.st_size, found.st_mtime_ns)


class State(BaseModel):
    """The run in a directory. `key` is the idempotency key of its batch; `asked` what that stands for."""

    model_config = ConfigDict(extra="ignore")

    version: int = 1
    url: str
    source: str
    asked: str
    key: str
    catalog: str | None = None
    reading: str | None = None
    batch: str | None = None
    files: dict[str, Kept] = {}
    """By render."""
    left: list[str] = []
    """Reports that are there."""
    earlier: list[str] = []
    """Names of files of batches that were here before: they may be replaced."""

    _directory: Path = Path()
    _written: float = 0.0

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """What is remembered there. Raises Mistake where that cannot be read."""
        path = directory / NAME
        try:
            state = cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise Mistake(
                f"{path} is not what this command writes: choose another -o, or begin anew with --new"
            ) from None
        state._directory = directory
        return state

    def into(self, directory: Path) -> Self:
        """Kept there from now on."""
        self._directory = directory
        self.write()
        return self

    def write(self) -> None:
        """Keep it. Raises OSError."""
        path = self._directory / NAME
        temporary = path.with_name(f"{NAME}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(self.model_dump(mode="json"), ensure_ascii=False))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._written = time.monotonic()

    def keep(self, render_id: str, kept: Kept) -> None:
        """A file that is there; written with the next ones."""
        self.files[render_id] = kept
        if time.monotonic() - self._written > BETWEEN_SECONDS:
            self.write()

    def names(self) -> set[str]:
        """Of the files that are ours to replace."""
        return {one.name for one in self.files.values()} | set(self.earlier)


@contextlib.contextmanager
def held(directory: Path) -> Generator[None]:
    """The directory, made and ours alone. Raises Mistake where another run is at work in it, OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Mistake(f"another `vivideo batch run` is at work in {directory}") from None
        yield
