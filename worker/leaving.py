"""A worker that is asked to leave: it takes nothing new, ends its streams, lets short work finish, and is gone in time.

Celery's warm shutdown waits for every task, however long: a call of a minute, an upload of 200 MB. What is not done
within `PATIENCE_SECONDS` is cut off here, after the goodbye that frees it for others at once.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from config.logging import get
from worker import liveness

log = get(__name__)

PATIENCE_SECONDS = 7.5
"""Gone within ten, as supervisors expect: the goodbye may take two more."""


def leave(children: Callable[[], Sequence[int]]) -> None:
    """Drain this process, and see to it that it ends; `children` are the processes that work for it."""
    liveness.drain_if_any()
    threading.Thread(target=_end_in_time, args=(children,), name="leaving", daemon=True).start()


def _end_in_time(children: Callable[[], Sequence[int]]) -> None:
    time.sleep(PATIENCE_SECONDS)
    pids = children()
    log.warning("worker.hurried", children=len(pids))
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    liveness.goodbye(pids, hurried=True)
    os._exit(0)
