"""Embedded servers as plain child processes: what they have in common, and running one outside the supervisor."""

import hashlib
import importlib.util
import os
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from . import leash, processes
from .errors import LocalError, ServerFailed

# A Unix socket's path may have 107 bytes; PostgreSQL puts a lock file with a longer name beside it.
LONGEST_SOCKET_PATH = 100


class Server(Protocol):
    """An embedded server: prepared once, then run by command as often as needed."""

    name: str
    stop_signal: signal.Signals

    def prepare(self) -> None:
        """Make what the server needs on disk and remove what a killed one left. Raises LocalError."""
        ...

    def command(self) -> list[str]:
        """The leashed argument vector; it stays in the foreground."""
        ...

    def ready(self) -> bool:
        """Whether it answers a client."""
        ...


def wheel_file(package: str, *parts: str) -> Path:
    """A file inside an installed wheel, found without importing the package (its import has side effects)."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise LocalError(f"{package} is not installed: install with the `local` extra (`make install`)")
    path = Path(spec.origin).parent.joinpath(*parts)
    if not path.exists():
        raise LocalError(f"{path} is missing: no {package} wheel for this machine? Name servers of yours instead.")
    return path


def private_directory(path: Path) -> Path:
    """Make `path` with mode 700, or check that it is ours. Raises LocalError when it belongs to somebody else."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = path.lstat()
    # Root's PostgreSQL may run as nobody, and then its directory is nobody's.
    owners = (0, leash.NOBODY) if os.geteuid() == 0 else (os.geteuid(),)
    if not stat.S_ISDIR(about.st_mode) or about.st_uid not in owners:
        raise LocalError(f"{path} belongs to another user; choose another directory with VIVIDEO_STATE_DIR=…")
    path.chmod(0o700)
    return path


def socket_directory(home: Path, socket_name: str) -> Path:
    """`home`, or where that path is too long for a socket, a private directory with a short name derived from it.

    The same for a path that an address would have to quote, because Flower does not undo the quoting.
    """
    path = str(home / socket_name)
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and quote(path) == path:
        return home
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return private_directory(Path(tempfile.gettempdir()) / f"vivideo-{os.geteuid()}-{digest}")


class Running:
    """One server run as a child of this process: `with Running(Postgres(home), log): …`."""

    def __init__(self, server: Server, log: Path, *, patience: float = 30) -> None:
        self.server = server
        self._log = log
        self._patience = patience
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Running":
        self.server.prepare()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own argument vector
                self.server.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        deadline = time.monotonic() + self._patience
        try:
            while not self.server.ready():
                if self.process.poll() is not None:
                    raise ServerFailed(self.server.name, f"ended with status {self.process.returncode}", self._log)
                if time.monotonic() > deadline:
                    raise ServerFailed(self.server.name, f"not ready after {self._patience:.0f} s", self._log)
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to leave, wait, and use force after ten seconds."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.server.stop_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                processes.kill_group(self.process.pid)
                self.process.wait()
        self.process = None
