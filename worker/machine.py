"""Which processes of this machine are surely gone: a worker that was killed need not be waited for a whole lease.

A pid means something only within one boot and one process namespace; elsewhere nobody can tell, and silence decides.
"""

import os
from functools import lru_cache
from pathlib import Path

_PROC = Path("/proc")
_STATE, _BEGAN = 0, 19
"""Places of the state and the start time among the fields of `/proc/PID/stat` behind the command (proc(5))."""


@lru_cache(maxsize=1)
def identity() -> str | None:
    """This boot and process namespace; None where the system does not tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return None


def began(pid: int) -> int | None:
    """When a process of this machine began, in clock ticks since boot; None where that cannot be seen."""
    fields = _fields(pid)
    return int(fields[_BEGAN]) if fields else None


def is_gone(pid: int, began_at: int | None) -> bool:
    """Whether the process that had this pid then has surely ended: no such process, one that only waits to be reaped,
    or another one that was given the number later. What cannot be seen is not gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # somebody else's process: it is there
    fields = _fields(pid)
    if not fields:
        return False
    return fields[_STATE] in ("Z", "X") or (began_at is not None and int(fields[_BEGAN]) != began_at)


def _fields(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    # The command stands in parentheses and may hold anything, parentheses too.
    return text.rpartition(")")[2].split()
