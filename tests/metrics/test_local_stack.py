"""The local stack gives every process that is scraped a port of its own, and notes where."""

import os
import socket
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.stack import SCRAPED, Stack, Wishes, build
from deploy.local.state import State
from deploy.local.up import summary

FIRST = 24_300


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> State:
    """An environment without settings but the ports, in a directory without `.env`."""
    for name in list(os.environ):
        if name.startswith(("VIVIDEO_", "NEMO_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIVIDEO_API_PORT", str(ports.choose("127.0.0.1", 24_200, setting="", fixed=False)))
    monkeypatch.setenv("VIVIDEO_METRICS_PORT", str(FIRST))
    return State(tmp_path / "state")


def _ports(stack: Stack) -> dict[str, str]:
    programs = (program for step in stack.steps for program in step)
    return {one.name: one.environment["VIVIDEO_METRICS_PORT"] for one in programs if one.name in SCRAPED}


def test_each_process_has_a_port_and_the_notes_say_which(state: State):
    """Four different ones from the one that is set on; one that is taken is passed over."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", FIRST))
        other.listen()
        stack = build(state, Wishes())
    found = _ports(stack)
    assert len(set(found.values())) == len(SCRAPED)
    assert str(FIRST) not in found.values()
    noted = stack.notes({})["metrics"]
    assert noted == {"api": f"{stack.addresses.api}/metrics"} | {
        name: f"http://127.0.0.1:{port}/metrics" for name, port in found.items()
    }
    assert f"{stack.addresses.api}/metrics" in summary(stack, state.directory)
