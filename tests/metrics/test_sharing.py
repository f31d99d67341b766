"""How processes count together, and how one of them tells what all did."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from tests.stack import ROOT
from worker.metrics import serving, sharing


def test_a_file_that_is_being_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is there and empty for a moment, or for good where its child died just then: the others are told."""
    monkeypatch.setenv(sharing.VARIABLE, str(tmp_path))
    (tmp_path / "counter_1.db").touch()
    counts = MmapedDict(str(tmp_path / "counter_2.db"))
    counts.write_value(mmap_key("lamps", "lamps_total", [], [], "Lamps."), 3.0, 0.0)
    counts.close()
    told = serving.collected("worker-media").collect()
    assert {sample.name: sample.value for metric in told for sample in metric.samples}["lamps_total"] == 3.0


@pytest.mark.parametrize("kind", ["io", "media"])
def test_what_the_environment_says_of_sharing_is_somebody_elses(tmp_path: Path, kind: str):
    """A directory named for other programs is neither used nor an obstacle."""
    environment = os.environ | {sharing.VARIABLE: str(tmp_path), "VIVIDEO_WORKER_KIND": kind}
    count = "from worker.metrics.declared import RENDERS_ACCEPTED as c; c.labels('new').inc()"
    subprocess.run([sys.executable, "-c", count], env=environment, cwd=ROOT, check=True)
    assert list(tmp_path.iterdir()) == []
