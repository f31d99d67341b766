"""`make chaos`: storms over real processes; the figures are printed, and every invariant that does not hold.

    python -m tests.chaos [--seeds 10] [--first 1] [--renders 500] [--kills 50] [--keep DIR]

Exit status: the number of seeds in which an invariant was broken. One seed again: `--first SEED --seeds 1`.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.figures import Figures, head
from tests.chaos.invariants import Violation
from tests.chaos.storm import storm


def main() -> None:
    """Blow as often as asked."""
    wanted = _options()
    _say(head())
    broken, all_figures = 0, list[Figures]()
    for seed in range(wanted.first, wanted.first + wanted.seeds):
        home = Path(tempfile.mkdtemp(prefix=f"vivideo-chaos-{seed}-", dir=wanted.keep))
        figures, violations = storm(seed, renders=wanted.renders, kills=wanted.kills, home=home)
        _say(figures.row())
        all_figures.append(figures)
        broken += bool(violations)
        if violations:
            _tell(seed, violations, wanted, home)
        elif wanted.keep is None:
            shutil.rmtree(home, ignore_errors=True)
    _sum_up(all_figures)
    sys.exit(broken)


def _tell(seed: int, violations: list[Violation], wanted: argparse.Namespace, home: Path) -> None:
    _say(f"\nseed {seed}: {len(violations)} places where an invariant is broken; logs are in {home}")
    for one in violations[:40]:
        _say(f"  {one}")
    again = f"--first {seed} --seeds 1 --renders {wanted.renders} --kills {wanted.kills}"
    _say(f"again: .venv/bin/python -m tests.chaos {again}\n")


def _sum_up(figures: list[Figures]) -> None:
    ends = sum((one.ends for one in figures), start=type(figures[0].ends)())
    _say("\nends: " + ", ".join(f"{end} {count}" for end, count in ends.most_common()))
    done: dict[str, int] = {}
    for one in figures:
        for what, times in one.done.items():
            done[what] = done.get(what, 0) + times
    _say("done: " + ", ".join(f"{what} {times}" for what, times in sorted(done.items())))
    _say(f"posts repeated with their key until answered: {sum(one.repeated for one in figures)}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--seeds", type=int, default=10, help="how many storms (10)")
    options.add_argument("--first", type=int, default=1, help="the first one's seed (1)")
    options.add_argument("--renders", type=int, default=500, help="in each (500)")
    options.add_argument("--kills", type=int, default=50, help="kill -9 in each (50)")
    options.add_argument("--keep", type=Path, default=None, help="keep every storm's state and logs below this folder")
    return options.parse_args()


if __name__ == "__main__":
    main()
