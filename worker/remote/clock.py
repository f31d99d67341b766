"""The clock of a message's send-by time."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since a moment that stays the same; it never goes back."""


def running() -> float:
    """Goes on while the machine is suspended, where the system has such a clock: Linux's monotonic one stands still
    then, and whoever wakes hours later would find the send-by time yet to come."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
