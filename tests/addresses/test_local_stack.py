"""The one-machine stack allows local addresses while its backend is the sandbox."""

import os
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.stack import Wishes, build
from deploy.local.state import State

NAME = "VIVIDEO_ALLOW_LOCAL_ADDRESSES"


@pytest.mark.parametrize(
    ("given", "sandbox", "handed_on"),
    [(None, True, "true"), ("", True, "true"), ("false", True, "false"), (None, False, None), ("true", False, "true")],
)
def test_the_children_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str | None, sandbox: bool, handed_on: str | None
):
    """With the sandbox they are, unless the user says otherwise; with a real backend only where the user says so."""
    for name in list(os.environ):
        if name.startswith(("VIVIDEO_", "NEMO_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIVIDEO_API_PORT", str(ports.choose("127.0.0.1", 22_800, setting="", fixed=False)))
    if given is not None:
        monkeypatch.setenv(NAME, given)
    state = State(tmp_path / "state")
    try:
        assert build(state, Wishes(sandbox=sandbox)).environment.get(NAME) == handed_on
    finally:
        state.release()
