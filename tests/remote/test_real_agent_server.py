"""Turns of the real agent framework's server, read as what they are."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.agent_server import AgentServer, running
from worker.remote import clock
from worker.remote.errors import SessionGone
from worker.remote.stream import Abort, Endpoint, Patience, StreamEvent, Turn, send_message


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentServer]:
    with running(tmp_path_factory.mktemp("agent-server")) as running_server:
        yield running_server


def say(
    server: AgentServer,
    text: str,
    *,
    session: str | None = None,
    events: list[StreamEvent] | None = None,
    idle: float = 10,
) -> Turn:
    heard = events if events is not None else []
    return send_message(
        Endpoint(server.url, "nmv_usr_x", {}, _no_tls),
        Patience(connect=5, idle=idle, silence=20, longest=30),
        session or server.new_session(),
        text,
        deadline=clock.running() + 10,
        on_event=heard.append,
        abort=Abort(),
    )


def _no_tls() -> None:  # pragma: no cover - plain HTTP asks for none
    raise AssertionError


def test_an_answer_comes_once(server: AgentServer):
    """Partials and the whole text that repeats them give the text once; thoughts stay out."""
    events: list[StreamEvent] = []
    turn = say(server, "hello", events=events)
    assert (turn.outcome, turn.text, turn.terminal, turn.clean_end) == ("received", "All done\u2028now.", True, True)
    assert (turn.calls, turn.results, turn.error_frame, turn.unknown_events) == (0, 0, None, 0)
    assert [event.text for event in events if event.kind == "text"] == ["All ", "done\u2028now.", "All done\u2028now."]


def test_an_edit_counts_its_call_once(server: AgentServer):
    """A call beside text, its result, then the answer: one call, one result, the last words."""
    turn = say(server, "edit the title")
    assert (turn.outcome, turn.text, turn.terminal) == ("received", "All done\u2028now.", True)
    assert (turn.calls, turn.results, turn.error_frame) == (1, 1, None)


def test_a_silent_edit_is_no_error(server: AgentServer):
    """MODEL_RETURNED_NO_CONTENT after a result: received, without words that end it, and without an error."""
    turn = say(server, "silent edit")
    assert (turn.outcome, turn.terminal, turn.error_frame, turn.error) == ("received", False, None, None)
    assert (turn.calls, turn.results) == (1, 1)


def test_an_exception_mid_stream_is_one_failure(server: AgentServer):
    """The stream ends cleanly under HTTP 200, but the failure is told, once, whatever its text does to the JSON."""
    events: list[StreamEvent] = []
    turn = say(server, "fail please", events=events)
    assert (turn.outcome, turn.terminal) == ("received", False)
    assert turn.error_frame is not None
    assert 'the "model"' in turn.error_frame
    assert [event.kind for event in events].count("error") == 1
    assert turn.text == "Half an"


def test_an_unknown_session_is_refused(server: AgentServer):
    """The server answers 404 before any stream: nothing was done, and the session is gone."""
    turn = say(server, "hello", session="no-such-session")
    assert turn.outcome == "refused"
    assert isinstance(turn.error, SessionGone)


def test_a_server_killed_mid_stream_is_unknown(tmp_path: Path):
    """A broken stream keeps what was heard and is never taken for an end."""
    with running(tmp_path) as server:
        session = server.new_session()
        heard = threading.Event()

        def kill() -> None:
            heard.wait(20)
            server.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        turn = send_message(
            Endpoint(server.url, "nmv_usr_x", {}, _no_tls),
            Patience(connect=5, idle=20, silence=20, longest=30),
            session,
            "hang on",
            deadline=clock.running() + 10,
            on_event=lambda event: heard.set(),
            abort=Abort(),
        )
        thread.join()
    assert (turn.outcome, turn.cause, turn.clean_end, turn.text) == ("unknown", "cut", False, "One moment.")


def test_a_long_tool_without_heartbeats_is_idle(server: AgentServer):
    """The plain server sends no heartbeat: the idle limit ends the wait, and the outcome is unknown."""
    turn = say(server, "hang on", idle=0.5)
    assert (turn.outcome, turn.cause, turn.terminal) == ("unknown", "idle", False)
