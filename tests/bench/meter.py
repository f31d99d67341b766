"""CPU seconds and memory of every process of a stack, its children included, read from /proc."""

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

from tests.stack import Stack


class Meter:
    """Measures while it is entered."""

    def __init__(self, running: Stack, servers: dict[str, int]) -> None:
        self._roots = {name: process.pid for name, process in running.running.items()} | servers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        """CPU seconds, user and system, by name."""
        self.peak: dict[str, float] = {}
        """MB: highest sum of proportional memory (PSS, so that pages shared between processes count once)."""
        self.peak_rss: dict[str, float] = {}
        """MB: highest resident memory of the name's first process."""

    def __enter__(self) -> Self:
        self._before = {name: cpu_seconds(pid) for name, pid in self._roots.items()}
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.cpu = {name: cpu_seconds(pid) - self._before[name] for name, pid in self._roots.items()}

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            for name, pid in self._roots.items():
                self.peak[name] = max(self.peak.get(name, 0), self._memory(pid))
                self.peak_rss[name] = max(self.peak_rss.get(name, 0), psutil.Process(pid).memory_info().rss / 1e6)

    def _memory(self, pid: int) -> float:
        total = 0.0
        for process in _family(pid):
            try:
                total += process.memory_full_info().pss / 1e6
            except psutil.Error:
                continue
        return total


class Watch:
    """Memory and threads of one server and its children while it is entered, looked at twenty times a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before = look(pid)
        self.peak = self.before

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            now = look(self._pid)
            self.peak = Sight(max(self.peak.resident, now.resident), max(self.peak.threads, now.threads))


@dataclass(frozen=True)
class Sight:
    """Resident MB (pages shared between the processes counted in each) and threads."""

    resident: float
    threads: int


def look(pid: int) -> Sight:
    """A server and its children at this moment."""
    resident, threads = 0.0, 0
    for process in _family(pid):
        try:
            resident += process.memory_info().rss / 1e6
            threads += process.num_threads()
        except psutil.NoSuchProcess:
            continue
    return Sight(resident, threads)


def cpu_seconds(pid: int) -> float:
    """User and system; ended children count through their parent's own account."""
    total = 0.0
    for process in _family(pid):
        try:
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
        except psutil.NoSuchProcess:
            continue
    return total


def _family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]
