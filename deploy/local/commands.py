"""The command line of every process, once: the local stack starts them, `deploy/compose.yaml` repeats them (a test
compares the two)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """What follows `python`, and the settings that this process has and the others have not."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


POOLS = {"stream": "gevent", "io": "gevent", "media": "prefork"}
"""Waiting is cheap in greenlets; decoding video needs processes."""


def migrate() -> Command:
    """Before all others, and again with each new version."""
    return Command(("-m", "deploy.local.entry", "migrate"))


def api(host: str, port: int) -> Command:
    """One worker: more requests are met by more processes, each of which can be watched and stopped by itself."""
    serve = ("-m", "granian", "--interface", "asgi", "--host", host, "--port", str(port), "--no-access-log")
    # While it waits to see whether HTTP/2 is spoken, it never drops a connection that says nothing.
    protocol = ("--http", "1", "--no-ws")
    # Its own bound is 1,024 requests under way: that many callers who wait or follow events would shut out all others.
    crowd = ("--backpressure", "10000")
    return Command((*serve, *protocol, *crowd, "--workers", "1", "api.app:app"))


def dispatcher() -> Command:
    """Hands out what is due."""
    return Command(("-m", "worker.dispatch"))


def worker(kind: str, concurrency: int) -> Command:
    """A Celery worker of queue `kind`. `%h` is the machine's name: two of a kind on one machine need other names."""
    return Command(
        _celery(
            *("worker", "-P", POOLS[kind], "-c", str(concurrency), "-Q", kind, "-n", f"{kind}@%h"),
            *("-E", "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
        ),
        {"VIVIDEO_WORKER_KIND": kind, "VIVIDEO_WORKER_CAPACITY": str(concurrency)},
    )


def beat(schedule: Path) -> Command:
    """`schedule` may be lost at any time. Answers pings, or nobody could tell one that stands still."""
    return Command(_celery("beat", "-s", str(schedule), "--enable-remote-control", "--loglevel", "INFO"))


def flower(host: str, port: int, *, user: str, password: str) -> Command:
    """Not more than 5,000 tasks in memory. The password is no argument: those are visible to everybody here."""
    watch = _celery("flower", f"--address={host}", f"--port={port}", "--max-tasks=5000")
    return Command(watch, {"FLOWER_BASIC_AUTH": f"{user}:{password}"})


def sandbox(host: str, port: int, home: Path, *options: str) -> Command:
    """The stand-in backend, with its data in `home`."""
    return Command(("-m", "deploy.sandbox", "--host", host, "--port", str(port), "--data", str(home), *options))


def _celery(*arguments: str) -> tuple[str, ...]:
    return ("-m", "celery", "-A", "worker.app", *arguments)
