"""A stack of small real programs, run as its own process: `python -m tests.local.stand_in STATE [FLAW]`.

Each child starts a grandchild (as an HTTP server's or a pool's main process does) and both write their process ids into
`STATE/pids`. Flaws: `stubborn` ignores SIGTERM, `dying` ends by itself a moment after each start.
"""

import asyncio
import sys
from pathlib import Path

from deploy.local.errors import LocalError
from deploy.local.output import Terminal
from deploy.local.postgres import Postgres
from deploy.local.program import Program, Wave, python
from deploy.local.stack import _embedded  # pyright: ignore[reportPrivateUsage]
from deploy.local.state import State
from deploy.local.supervisor import Supervisor

WORK = """
import os, signal, subprocess, sys, time
role, pids, flaw = sys.argv[1:]
if flaw == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
if role == "main":
    subprocess.Popen([sys.executable, "-c", os.environ["WORK"], "below", pids, flaw])
with open(pids, "a") as file: file.write(f"{role} {os.getpid()}\\n")
print(role, "runs", flush=True)
if flaw == "dying": sys.exit(3)
while True: time.sleep(60)
"""


def programs(state: State, flaw: str) -> list[list[Program]]:
    """A database, a once-only step, and one child in each of the first two waves."""
    pids = str(state.directory / "pids")
    database = _embedded(Postgres(state.directory / "postgres", durable=False), Wave.DATABASE)
    once = Program("once", python("-c", "raise SystemExit(0)"), once=True)
    environment = {"WORK": WORK}

    async def all_run() -> bool:
        return _lines(pids) >= 4

    async def survives() -> bool:
        return flaw != "dying"

    front = Program("front", python("-c", WORK, "main", pids, "none"), environment, ready=all_run)
    work = python("-c", WORK, "main", pids, flaw)
    worker = Program("worker", work, environment, ready=survives, wave=Wave.WORKERS)
    return [[database], [once], [front, worker]]


def _lines(file: str) -> int:
    return Path(file).read_text().count("\n") if Path(file).exists() else 0


def main() -> int:
    state = State(Path(sys.argv[1]))
    (state.directory / "pids").unlink(missing_ok=True)
    supervisor = Supervisor(state, programs(state, sys.argv[2]), {}, Terminal())

    async def ready() -> None:
        sys.stdout.write("READY\n")
        sys.stdout.flush()

    try:
        return asyncio.run(supervisor.run(ready))
    finally:
        state.release()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LocalError as error:
        sys.exit(str(error))
