"""How the processes of a prefork pool count together: each in files of its own, in a directory that its main process
makes before it forks and reads at every scrape.

A file belongs to a place in the pool, not to a process: whoever takes a dead child's place goes on counting where that
one stopped, so a sum never falls and the directory does not grow with every death.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import multiprocess, values
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from config.settings import settings

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "vivideo-metrics-"
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory with a random name is made in it
"""Where the files are: they are mapped, and a full disk under a mapped file kills whoever writes to it."""
JUST_MADE_SECONDS = 60.0
"""A directory this young may not have its lock yet."""

_main: int | None = None


def begin() -> None:
    """Decide how this process and its children count. What the environment says of it is somebody else's."""
    global _main
    os.environ.pop(VARIABLE, None)
    os.environ.pop(VARIABLE.lower(), None)
    values.ValueClass = values.MutexValue  # the library looked at that variable as it was imported
    # The media worker alone forks; with no port nobody would read its files.
    if os.environ.get("VIVIDEO_WORKER_KIND") != "media" or not settings().servers.metrics_port:
        return
    _main = os.getpid()
    os.environ[VARIABLE] = str(_directory())
    values.ValueClass = values.MultiProcessValue(_place)


def is_shared() -> bool:
    """Whether this process counts in files."""
    return VARIABLE in os.environ


def child_began() -> None:
    """Before a child counts: what its place's last holder had in hand is in nobody's hands any more."""
    if is_shared():
        multiprocess.mark_process_dead(_place())  # pyright: ignore[reportArgumentType] - a file's name, as any text


class Together(Collector):
    """The counts of all places, added up."""

    def collect(self) -> Iterable[Metric]:
        """As they stand. A file without a size was made just now, or by a child that died in it: it is empty."""
        files = Path(os.environ[VARIABLE]).glob("*.db")
        return multiprocess.MultiProcessCollector.merge([str(one) for one in files if _bytes(one)])


def _bytes(file: Path) -> int:
    with suppress(FileNotFoundError):  # a dead child's gauges are removed
        return file.stat().st_size
    return 0


def _place() -> str:
    """This process's place in the pool; `main` for the one that forks."""
    from billiard.process import current_process

    return str(getattr(current_process(), "index", "main"))


def _directory() -> Path:
    """A fresh directory for this user alone, held by a lock for as long as one of the pool's processes lives."""
    room = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _clear(room)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=room))
    fcntl.flock(os.open(made, os.O_RDONLY), fcntl.LOCK_EX)  # never closed: the kernel does, however we end
    atexit.register(_remove, made)
    return made


def _remove(made: Path) -> None:
    if os.getpid() == _main:  # a child that ends by the same way leaves it alone
        shutil.rmtree(made, ignore_errors=True)


def _clear(room: Path) -> None:
    """Remove what killed pools left behind."""
    for left in room.glob(f"{PREFIX}*"):
        with suppress(OSError):
            facts = left.stat()
            if facts.st_uid == os.getuid() and time.time() - facts.st_ctime > JUST_MADE_SECONDS and _is_free(left):
                shutil.rmtree(left, ignore_errors=True)


def _is_free(left: Path) -> bool:
    held = os.open(left, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(held)
    return True
