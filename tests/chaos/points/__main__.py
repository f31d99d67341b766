"""`python -m tests.chaos.points [record | WORDS[,WORDS…]] [PYTEST OPTIONS]`: die at every point, or at those with these
words.

`record` plays each scenario without a death and writes `reached.json` anew.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.points import reached
from tests.chaos.points.enumeration import points

HERE = Path(__file__).parent


def main() -> int:
    """The exit status of pytest."""
    what, *options = sys.argv[1:] or ["all"]
    if what == "record":
        reached.forget()
        return _pytest("test_record.py", ["-n0", *options], VIVIDEO_POINTS_RECORD="1")
    began = time.monotonic()
    status = _pytest("test_points.py", ["-n2", "--dist=worksteal", *options], VIVIDEO_CRASHES=what)
    took = time.monotonic() - began
    sys.stdout.write(
        f"{len(points())} points, {len(reached.table())} of them to die at, each on two sides; {took:.0f} s\n"
    )
    return status


def _pytest(file: str, options: list[str], **environment: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", str(HERE / file), *options]
    return subprocess.run(command, env=os.environ | environment, check=False).returncode


sys.exit(main())
