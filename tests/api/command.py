"""The command line as a program of its own, and what one run of it said."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "deploy.local.entry"]


def environment(url: str | None, key: str | None) -> dict[str, str]:
    """This process's, with another service and key, if any."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIVIDEO_", "COLUMNS"))}
    given = {"VIVIDEO_URL": url, "VIVIDEO_API_KEY": key, "PYTHONPATH": str(ROOT)}
    return kept | {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit status."""

    returncode: int
    stdout: str
    stderr: str
