"""What is done once in so many seconds of a name, however often it is asked for."""

import threading
import time

MOST_NAMES = 10_000
"""Remembered; beyond it all are forgotten, which lets each have a turn before its time."""


class Seldom:
    """This process's turns, by name; safe to share between threads."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._names: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def turn(self, name: str) -> int | None:
        """How many asked in vain since the turn before, where this is one; None: it is not."""
        now = time.monotonic()
        with self._lock:
            until, missed = self._names.get(name, (0.0, 0))
            if now < until:
                self._names[name] = (until, missed + 1)
                return None
            if len(self._names) >= MOST_NAMES:
                self._names.clear()
            self._names[name] = (now + self._seconds, 0)
            return missed
