"""Turns of a session driven by hand, on the stand-in backend; this process is the worker."""

from tests.stages.conftest import backend, stand_in

__all__ = ["backend", "stand_in"]
