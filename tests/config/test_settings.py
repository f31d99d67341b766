"""Settings that are wrong are named; what was given is not repeated, as it may be a secret."""

import os
import subprocess
import sys

import pytest

from tests.stack import ROOT


@pytest.mark.parametrize(
    ("name", "field", "given"),
    [
        ("VIVIDEO_METRICS_TOKEN", "metrics_token", "Tq7xZ-short"),
        ("VIVIDEO_API_KEY", "api_key", "Tq7xZ-without-its-beginning"),
    ],
)
def test_a_secret_that_is_wrong_is_not_printed(name: str, field: str, given: str):
    """A process that ends for it leaves a traceback in kept logs: it names the setting alone."""
    command = [sys.executable, "-m", "worker.dispatch"]
    ended = subprocess.run(
        command, env=os.environ | {name: given}, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert field in ended.stderr
    assert given not in ended.stdout + ended.stderr
