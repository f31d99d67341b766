"""Ends the process groups of a stack whose supervisor was killed.

    python -I -S guard.py

The death signal reaches a child's main process, not what that started in turn (the API's serving process would keep its
port, a pool's children their queue). So the supervisor writes `+GROUP` and `-GROUP` lines to this program's input; when
the input ends without `bye`, the supervisor died, and every group still listed is killed.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        if line.startswith("+"):
            groups.add(int(line))
        elif line.startswith("-"):
            groups.discard(-int(line))
        else:
            return
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
