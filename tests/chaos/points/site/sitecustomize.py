"""Python runs this at the start of each process that has this folder on PYTHONPATH: a process of the test build."""

from tests.chaos.points import armed

armed.install()
