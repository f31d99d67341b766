"""The same database as the renders' tests."""

from tests.renders.conftest import _empty, _settings  # noqa: F401 - fixtures, used by their names
