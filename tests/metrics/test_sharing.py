"""What the processes of a pool counted, read while they make their files."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from worker.metrics import sharing


def _values(told: Iterable[Metric]) -> dict[str, float]:
    return {sample.name: sample.value for metric in told for sample in metric.samples}


def test_a_file_that_is_being_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is there and empty for a moment: the scrape looks again instead of failing."""
    monkeypatch.setenv(sharing.VARIABLE, str(tmp_path))
    young = tmp_path / "counter_1.db"
    young.touch()

    def grow(_seconds: float) -> None:
        counts = MmapedDict(str(young))
        counts.write_value(mmap_key("lamps", "lamps_total", [], [], "Lamps."), 3.0, 0.0)
        counts.close()

    monkeypatch.setattr(sharing.time, "sleep", grow)
    assert _values(sharing.Together().collect()) == {"lamps_total": 3.0}
