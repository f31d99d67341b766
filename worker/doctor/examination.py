"""The examination: its order, what depends on what, and a time limit for everything."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from worker.doctor import (
    backend,
    broker,
    configuration,
    database,
    disk,
    fleet,
    limits,
    network,
    service,
    storage,
    unknowns,
)
from worker.doctor.findings import Case, Check, Finding, Level, fail, warn
from worker.remote.text import redact


@dataclass(frozen=True)
class Step:
    """A check, the checks it makes no sense without, and the seconds it may take."""

    name: str
    check: Check
    needs: tuple[str, ...] = ()
    seconds: float = 20.0


CHECKS = (
    Step("settings", configuration.look),
    Step("values", configuration.look_at_values, needs=("settings",)),
    Step("database", database.look, needs=("settings",)),
    Step("broker", broker.look, needs=("settings",)),
    Step("limits", limits.look, needs=("settings",)),
    Step("storage", storage.look, needs=("settings",), seconds=45.0),
    Step("disk", disk.look, needs=("settings",)),
    Step("api", service.look, needs=("settings",)),
    Step("workers", fleet.look, needs=("settings", "database")),
    Step("flower", service.look_at_flower, needs=("settings",)),
)
BACKEND = (
    Step("network", network.look, needs=("settings",), seconds=45.0),
    Step("backend", backend.look, needs=("settings", "values", "database", "network"), seconds=120.0),
)
LAST = (Step("surprises", unknowns.look, needs=("settings", "database")),)
_SLOW = "it hangs, or something between here and there drops packets: look there first"


def examine(case: Case, *, with_backend: bool, starting: Callable[[str], None]) -> Iterator[Finding]:
    """The findings, as they come; `starting` is told of each check before it begins. Never raises."""
    for step in CHECKS + (BACKEND if with_backend else ()) + LAST:
        starting(step.name)
        missing = [name for name in step.needs if name in case.failed]
        found = _skipped(step, missing) if missing else _in_time(step, case)
        for finding in found:
            if finding.level is Level.FAIL:
                case.failed.add(step.name)
            yield finding


def _skipped(step: Step, missing: list[str]) -> Iterator[Finding]:
    yield warn(step.name, f"not looked at: {' and '.join(missing)} failed", "see to that first, then look again")


def _in_time(step: Step, case: Case) -> Iterator[Finding]:
    """A thread of its own: whatever a library waits for, the examination goes on."""
    found = queue.SimpleQueue[Finding | None]()
    threading.Thread(target=_work, args=(step, case, found), name=step.name, daemon=True).start()
    end = time.monotonic() + step.seconds
    while True:
        try:
            finding = found.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            yield fail(step.name, f"no end within {step.seconds:g} s", _SLOW)
            return
        if finding is None:
            return
        yield finding


def _work(step: Step, case: Case, found: "queue.SimpleQueue[Finding | None]") -> None:
    try:
        for finding in step.check(case):
            found.put(finding)
    except Exception as error:  # whatever it is: a sentence, and the next check
        words = redact(f"{type(error).__name__}: {error}")
        found.put(fail(step.name, f"the check itself broke: {words}", "this is a fault of vivideo: report it"))
    finally:
        found.put(None)
