"""A database of a module's own, and batches in any state."""

from tests.renders.conftest import _empty, _settings

__all__ = ["_empty", "_settings"]
