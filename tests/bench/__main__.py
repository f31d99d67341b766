"""`make bench`: what the service holds and what it costs; every figure is printed with its aim, if any.

    python -m tests.bench [renders] [intake] [batches] [uploads] [waiters] [triggers] [fairness]
        [dispatch] [deliveries] [kill] [leave] [restart] [--quick] [--renders 1000] [--stream-seconds 20] [--contract]

Without a name, all of them, one after the other; `--quick` is a small run that proves they work. Everything runs on
this machine, on servers of its own.
"""

import argparse
import resource
import sys
import tempfile
from pathlib import Path

from tests.bench import (
    batches,
    deliveries,
    dispatch,
    fairness,
    intake,
    kill,
    leave,
    renders,
    restart,
    triggers,
    uploads,
    waiters,
)
from tests.bench.ground import Ground
from tests.bench.report import Report

NAMES = (
    "renders",
    "intake",
    "batches",
    "uploads",
    "waiters",
    "triggers",
    "fairness",
    "dispatch",
    "deliveries",
    "kill",
    "leave",
    "restart",
)
ALONE = ("renders", "fairness", "dispatch", "deliveries", "kill", "leave", "restart")
"""On stacks of their own."""


def main() -> None:
    """Measure and print; the exit status is the number of aims missed."""
    wanted = _options()
    report = Report(quick=wanted.quick)
    # As the supervisor does for the service: a thousand connections are more than many machines allow at first.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="vivideo-bench-") as folder:
        report.machine(Path(folder))
        chosen = [name for name in NAMES if name in wanted.names or "all" in wanted.names]
        if "renders" in chosen:
            report.say("\nrenders")
            count, stream = (20, 2.0) if wanted.quick else (wanted.renders, wanted.stream_seconds)
            (home := Path(folder) / "renders").mkdir(mode=0o700)
            renders.measure(report, home, count, stream)
        if "fairness" in chosen:
            report.say("\nfairness")
            fairness.measure(report, Path(folder) / "fairness")
        if "dispatch" in chosen:
            report.say("\ndispatch")
            dispatch.measure(report, Path(folder) / "dispatch")
        if "deliveries" in chosen:
            report.say("\ndeliveries")
            deliveries.measure(report, Path(folder) / "deliveries")
        if "kill" in chosen:
            report.say("\nkill")
            kill.measure(report, Path(folder) / "kill", contract=wanted.contract)
        if "leave" in chosen:
            report.say("\nleave")
            leave.measure(report, Path(folder) / "leave")
        if "restart" in chosen:
            report.say("\nrestart")
            restart.measure(report, Path(folder) / "restart")
        _intake(report, Path(folder) / "intake", [name for name in chosen if name not in ALONE])
    sys.exit(report.missed)


def _intake(report: Report, home: Path, names: list[str]) -> None:
    """Those that need no workers, on one database: each on an intake just started, quick ones all on one."""
    if not names:
        return
    home.mkdir(mode=0o700)
    with Ground(home) as ground:
        for together in [names] if report.quick else [[name] for name in names]:
            with ground.intake() as pid:
                for name in together:
                    report.say(f"\n{name}")
                    rooms = {"intake": intake, "batches": batches, "uploads": uploads, "waiters": waiters}
                    rooms |= {"triggers": triggers}
                    rooms[name].measure(report, ground, pid)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("names", nargs="*", choices=[*NAMES, "all"], default="all", help="which; all by default")
    options.add_argument("--quick", action="store_true", help="small figures, no time judged")
    options.add_argument("--renders", type=int, default=1000)
    options.add_argument("--stream-seconds", type=float, default=20)
    options.add_argument("--contract", action="store_true", help="kill: every wait as in the backend's contract")
    return options.parse_args()


if __name__ == "__main__":
    main()
