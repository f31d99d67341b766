"""A whole stack of the test build, short waits, whose dead processes are put up again."""

import os
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from tests.chaos.points import armed
from tests.nursery import Nursery
from tests.stack import Stack, until

SHORT = {
    "VIVIDEO_LEASE_SECONDS": "2",
    "VIVIDEO_REDISPATCH_SECONDS": "1",
    "VIVIDEO_DISPATCH_TICK_SECONDS": "0.1",
    "VIVIDEO_EXPORT_POLL_SECONDS": "0.3",
    "VIVIDEO_STREAM_IDLE_SECONDS": "1.5",
    "VIVIDEO_STREAM_SILENCE_SECONDS": "2",
    "VIVIDEO_STREAM_MAX_SECONDS": "2.5",
    "VIVIDEO_STILL_WORKING_SECONDS": "0.2",
    "VIVIDEO_SETTLE_SECONDS": "0.1",
    "VIVIDEO_LOOKUP_FIRST_SECONDS": "0.2",
    "VIVIDEO_LOOKUP_NEXT_SECONDS": "0.2",
    "VIVIDEO_RETRY_FIRST_SECONDS": "0.1",
    "VIVIDEO_RETRY_LONGEST_SECONDS": "0.3",
    "VIVIDEO_RATE_LIMIT_SECONDS": "0.2",
    "VIVIDEO_KEY_CHECK_SECONDS": "0.2",
    "VIVIDEO_WEBHOOK_TIMEOUT_SECONDS": "2",
    "VIVIDEO_WEBHOOK_RETRY_SECONDS": "0.2,0.4,1,2,4,8",
    "VIVIDEO_PUBLISH_LEASE_SECONDS": "6",
    "VIVIDEO_PUBLISH_POLL_SECONDS": "0.2",
}
BACKEND = ("--stream-seconds", "0.3", "--export-seconds", "0.1", "--min-poll-seconds", "0.3")


class Ground(Stack):
    """One such stack."""

    def __init__(self, home: Path, database: str, broker: str) -> None:
        self.folder = home / "points"
        self.folder.mkdir()
        super().__init__(home, database, broker, **SHORT, **armed.environment(self.folder))
        self._nurseries: dict[str, Nursery] = {}
        self._started: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {}
        self._exits: dict[int, int] = {}

    def start(self, name: str, *arguments: str, **environment: str) -> Any:
        """As ever, and remembered; workers and dispatcher from a nursery."""
        self._started[name] = (arguments, environment)
        if arguments[1] not in ("celery", "worker.dispatch"):
            return super().start(name, *arguments, **environment)
        nursery = self._nurseries["patched" if "gevent" in arguments else "plain"]
        self.running[name] = child = nursery.start(
            list(arguments[1:]), os.environ | self.environment | environment, self.home / f"{name}.log"
        )
        return child

    def _nursery(self, kind: str) -> Nursery:
        """One of the test build; it ends with this process."""
        nursery = Nursery(kind, os.environ | self.environment, self.home / f"nursery-{kind}.log")
        self._logs.callback(nursery.close)
        return nursery

    def start_all(self) -> None:
        """Everything, the intake too."""
        self._nurseries = {kind: self._nursery(kind) for kind in ("patched", "plain")}
        self.start_sandbox(*BACKEND)
        self.migrate()
        self.start("dispatcher", "-m", "worker.dispatch")
        for kind, places in (("stream", 20), ("io", 20), ("media", 1)):
            self.start_worker(kind, places)
        key = {"Authorization": f"Bearer {self.environment['VIVIDEO_API_KEY']}"}
        self.http = httpx.Client(base_url=self.start_api(), headers=key, timeout=20)
        until(lambda: self.kinds() == {"stream", "io", "media"}, 60, what="all workers")

    def kinds(self) -> set[str]:
        """The kinds of the workers that have reported."""
        with psycopg.connect(self.environment["VIVIDEO_DATABASE_URL"]) as connection:
            return {row[0] for row in connection.execute("SELECT kind FROM workers WHERE stopped_at IS NULL")}

    def again(self, name: str) -> None:
        """Start one that ended, as it was started before."""
        arguments, environment = self._started[name]
        self.start(name, *arguments, **environment)

    def mend(self) -> None:
        """Put up again whatever has died, or whose child has."""
        dead = [tuple(map(int, path.name.split(".")[1:])) for path in self.folder.glob("dead.*")]
        for name, process in list(self.running.items()):
            if any(process.pid == pid for pid, _ in dead):
                process.wait(10)  # it is dying, or its end has not been told yet
            if process.poll() is None and any(process.pid == parent for _, parent in dead):
                self.kill(name)  # a child died at the point: its parent goes with it
            elif process.poll() is not None:
                self._exits[process.pid] = process.wait()
                self.running.pop(name)
            else:
                continue
            self.again(name)

    def kill_and_mend(self, name: str) -> None:
        """kill -9, and a fresh one."""
        if name in self.running:
            self.kill(name)
        self.again(name)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the intake as a client does that asks again until it is answered."""

        def answer() -> httpx.Response | None:
            try:
                found = self.http.request(method, path, **options)
            except httpx.TransportError:
                self.mend()
                return None
            return None if found.status_code >= 500 else found

        return until(answer, 60, what=f"an answer to {method} {path}")

    # Arming

    def arm(self, where: str) -> None:
        """Have the first process that comes by die: `before commit worker…`."""
        self.disarm()
        self._put("armed", where)

    def playing(self, scenario: str) -> None:
        """What is passed from now on belongs to this scenario."""
        self._put("scenario", scenario)

    def _put(self, name: str, text: str) -> None:
        unfinished = self.folder / "unfinished"
        unfinished.write_text(text)
        unfinished.rename(self.folder / name)

    def disarm(self) -> None:
        """Nobody dies any more; who died is forgotten."""
        (self.folder / "armed").unlink(missing_ok=True)
        for path in self.folder.glob("dead.*"):
            path.unlink()

    def dead(self) -> int | None:
        """The pid of the process that died at the armed point; None while none has."""
        found = next(iter(self.folder.glob("dead.*")), None)
        return int(found.name.split(".")[1]) if found else None

    def status(self, pid: int) -> int | None:
        """The exit status of one that died; None for a child's, which its parent has."""
        until(lambda: pid in self._exits or not _lives(pid), what="its end")
        self.mend()
        return self._exits.get(pid)

    def passed(self, scenario: str) -> set[str]:
        """What was passed while `scenario` was played, by all processes together."""
        path = self.folder / f"passed.{scenario}"
        return set(path.read_text().splitlines()) if path.exists() else set()

    def control(self, what: str, **wish: Any) -> None:
        """The backend's control interface: `expire-tokens`, `settings`…"""
        httpx.post(f"{self.sandbox}/_sandbox/{what}", json=wish).raise_for_status()

    def forget_rules(self) -> None:
        """The backend behaves again."""
        httpx.delete(f"{self.sandbox}/_sandbox/rules").raise_for_status()


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
