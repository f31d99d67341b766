"""A folder for the files of one piece of work, gone with it; what killed processes left goes with the next one's."""

import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "vivideo-store-"
FORGOTTEN_SECONDS = 6 * 3600
"""A folder this old belongs to a process that was killed: fetching a video takes a quarter of an hour at most."""


@contextmanager
def workspace() -> Generator[Path]:
    """An empty folder on the disk for temporary files. Raises OSError where that is full."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield Path(folder)


def _sweep() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's, or swept by another process meanwhile
            if path.stat().st_mtime < time.time() - FORGOTTEN_SECONDS:
                shutil.rmtree(path)
