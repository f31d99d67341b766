"""Why the local stack does not start, or a database cannot be used, in words for the person at the terminal.

LocalError
├── ServerFailed   an embedded server did not become ready
├── PortTaken      somebody else listens there
├── AlreadyRunning another `up` holds the state directory
├── DatabaseAway   it did not answer in time, or does not let us in
└── NotMigrated    it answers, and cannot be brought up to date
"""

from pathlib import Path


class LocalError(Exception):
    """Printed without a traceback; the process exits with 1."""


class ServerFailed(LocalError):
    def __init__(self, name: str, why: str, log: Path | None = None) -> None:
        super().__init__(f"{name}: {why}" + (f"\n{_tail(log)}\n(log: {log})" if log else ""))


class PortTaken(LocalError):
    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(f"{host}:{port} is in use by another program; choose another port with {setting}=…")


class AlreadyRunning(LocalError):
    def __init__(self, state: Path, pid: str) -> None:
        super().__init__(
            f"a stack is already running in {state} (pid {pid or 'unknown'}); stop it with Ctrl-C or `kill {pid}`, "
            "or choose another directory with VIVIDEO_STATE_DIR=…"
        )


class DatabaseAway(LocalError):
    def __init__(self, shown: str, why: str, waited: float) -> None:
        super().__init__(
            f"{shown} does not answer: {why}\n"
            f"start PostgreSQL or correct VIVIDEO_DATABASE_URL; --wait (now {waited:g} s) gives it more time"
        )


class NotMigrated(LocalError):
    def __init__(self, shown: str, revision: str, why: str, remedy: str) -> None:
        super().__init__(f"{shown}, at {revision}, cannot be brought up to date: {why}\n{remedy}")


def _tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
