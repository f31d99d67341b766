"""The children of a prefork pool while the database says nothing."""

import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.stack import Stack, until


@pytest.fixture
def silent_database() -> Iterator[str]:
    """The address of something that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"postgresql://nobody@127.0.0.1:{listening.getsockname()[1]}/nothing"


def test_a_new_child_waits_for_the_database(tmp_path: Path, silent_database: str, broker_url: str):
    """It takes a dead one's place and goes on trying: its main process does not kill it and start another, again and
    again, for as long as the database is away."""
    with Stack(tmp_path, silent_database, broker_url) as stack:
        main = psutil.Process(stack.start_worker("media", 1).pid)
        first = next(iter(until(lambda: _failures(stack), 60, what="a child's word about the database")))
        os.kill(first, signal.SIGKILL)
        second = until(lambda: _failures(stack).keys() - {first}, 60, what="the word of another").pop()
        until(lambda: _failures(stack)[second] > 1, 60, what="its second word")
        assert [child.pid for child in main.children()] == [second]


def _failures(stack: Stack) -> Counter[int]:
    """How often each child, by its pid, said that its heartbeat failed: each time some six seconds later."""
    lines = (stack.home / "media.log").read_text().splitlines()
    told = (json.loads(line) for line in lines if '"heartbeat.failed"' in line)
    return Counter(int(one["worker"].split("-")[1]) for one in told)
