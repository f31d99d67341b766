"""Folders for temporary files: gone with their work, and with the next one's where a process was killed."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from worker.media.workspace import workspace


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_workspace_is_empty_and_gone_afterwards(disk: Path):
    """Nothing stays, even where the work fails."""

    def fails() -> None:
        with workspace() as folder:
            assert list(folder.iterdir()) == []
            (folder / "video.mp4").write_bytes(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert list(disk.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_work(disk: Path):
    """An old folder is removed with its files; one of today stays, and so does anybody else's."""
    for name, hours in (("vivideo-store-old", 7), ("vivideo-store-new", 1), ("others", 99)):
        (disk / name).mkdir()
        (disk / name / "video.mp4").write_bytes(b"x")
        os.utime(disk / name, (time.time() - hours * 3600,) * 2)
    with workspace():
        pass
    assert sorted(path.name for path in disk.iterdir()) == ["others", "vivideo-store-new"]
