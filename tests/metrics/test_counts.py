"""The counts of real processes are what happened: by our own books, and by the backend's ledger."""

import socket
from collections import Counter
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.journeys.conftest import Journey
from tests.metrics.conftest import WORKERS, Scrape, Watched
from tests.stack import until

PROMPTS = {
    "well": "",
    "twice": "",
    "refused": "",
    "lost": "[[sandbox: cut_after]]",
    "unknown": "[[sandbox: cut_before]]",
    "failed": "[[sandbox: error_frame]]",
    "unreadable": "[[sandbox: http_status on=state status=503]]",
}


@pytest.fixture(scope="module")
def scraped(stack: Watched, database: str) -> Iterator[tuple[Scrape, psycopg.Connection]]:
    """What the workers say once some renders have ended, well and badly; and the database."""
    stack.rule(do="rate_limited", match="metrics refused", times=1)
    journeys = [Journey(stack, f"A 2 second clip, metrics {name}. {do}") for name, do in PROMPTS.items()]
    ends = Counter(journey.end().status for journey in journeys)
    assert ends == {"succeeded": 5, "failed": 2}
    with psycopg.connect(database, autocommit=True) as connection:
        # An outcome is counted after its commit, so the last of them may be a moment late.
        until(lambda: stack.scrape(*WORKERS).sum("vivideo_runs_ended_total") == len(PROMPTS), what="the last count")
        yield stack.scrape(*WORKERS), connection


Scraped = tuple[Scrape, psycopg.Connection]


def _rows(connection: psycopg.Connection, query: str) -> Counter[object]:
    return Counter({row[0] if len(row) == 2 else row[:-1]: row[-1] for row in connection.execute(query.encode())})


def test_runs_are_counted_as_they_ended(scraped: Scraped):
    """Status and code, over all workers, are those of the rows."""
    scrape, books = scraped
    rows = _rows(books, "SELECT status, coalesce(error_code, ''), count(*) FROM renders GROUP BY 1, 2")
    assert scrape.by("vivideo_runs_ended_total", "status", "code") == rows
    assert scrape.sum("vivideo_runs_ended_total", code="generation.unconfirmed") == 1


def test_every_attempt_is_in_the_stages_seconds(scraped: Scraped):
    """As many observations of each stage and outcome as attempts on record, and about as many seconds."""
    scrape, books = scraped
    rows = _rows(books, "SELECT stage, outcome, count(*) FROM attempts GROUP BY 1, 2")
    assert scrape.by("vivideo_stage_seconds_count", "stage", "outcome") == rows
    (by_the_clock,) = books.execute(
        "SELECT sum(extract(epoch FROM ended_at - started_at)) FROM attempts WHERE stage = 'generate'"
    ).fetchone() or (0,)
    assert scrape.sum("vivideo_stage_seconds_sum", stage="generate") == pytest.approx(float(by_the_clock), abs=1)


def test_paid_messages_are_counted_by_what_became_of_them(scraped: Scraped):
    """The settled ones equal the books; the lost one was unknown and is applied now, the refused one was sent again."""
    scrape, books = scraped
    settled = _rows(books, "SELECT state, count(*) FROM intents GROUP BY 1")
    counted = scrape.by("vivideo_intents_total", "outcome")
    assert {state: counted[state] for state in settled} == dict(settled)
    assert settled == {"applied": 5, "refused": 1, "unconfirmed": 1, "not_applied": 1}
    assert counted["unknown"] >= 2


def test_calls_are_counted_as_the_backend_saw_them(scraped: Scraped, stack: Watched):
    """Messages, polls and their answers equal the ledger; each question's lateness was measured."""
    scrape, _ = scraped
    ledger = stack.ledger()
    polls = sum(len(times) for times in ledger["polls"].values())
    codes = scrape.by("vivideo_remote_calls_total", "call", "code")
    assert scrape.sum("vivideo_remote_calls_total", call="send_message") == len(ledger["messages"])
    assert codes["send_message", "429"] == 1
    assert codes["state", "503"] == 1
    assert codes["send_message", "network"] == 2
    assert scrape.sum("vivideo_remote_calls_total", call="poll_export") == polls > 0
    assert scrape.sum("vivideo_poll_lateness_seconds_count") == polls
    for call, times in scrape.by("vivideo_remote_call_seconds_count", "call").items():
        assert times == scrape.sum("vivideo_remote_calls_total", call=call)
    assert scrape.sum("vivideo_stream_first_event_seconds_count") >= 5
    assert scrape.sum("vivideo_streams_open") == 0


IDS = {
    "renders": "id",
    "owners": "id",
    "accounts": "id",
    "remote_sessions": "session_id",
    "exports": "id",
    "intents": "id",
    "workers": "id",
    "api_keys": "id",
}


def _ids(table: str, column: str) -> sql.Composed:
    return sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(table))


def test_nothing_of_anybodys_is_in_a_scrape(scraped: Scraped, stack: Watched):
    """No id, no word of a prompt, no address, no token or key: of the books, of the settings, or by its form."""
    scrape, books = scraped
    text = scrape.text + stack.scrape("dispatcher").text
    ids = [row[0] for table, column in IDS.items() for row in books.execute(_ids(table, column))]
    assert len(ids) > len(IDS)
    secret = [value for name, value in stack.environment.items() if name.endswith(("_KEY", "_URL"))]
    for one in (*ids, *secret, "second clip", "nmv_", "vv_", "http://", "https://", "Bearer"):
        assert one not in text


def test_a_stream_is_open_while_it_lasts(stack: Watched):
    """The gauge follows the stream, and a scrape is answered at once while it is open: the loop is not held up."""
    journey = Journey(stack, "A 2 second clip that takes its time. [[sandbox: stream seconds=3]]")
    until(lambda: stack.scrape("stream").sum("vivideo_streams_open") == 1, what="an open stream")
    assert httpx.get(f"http://127.0.0.1:{stack.ports['stream']}/metrics").elapsed.total_seconds() < 1
    assert journey.end().status == "succeeded"
    assert stack.scrape("stream").sum("vivideo_streams_open") == 0


def test_who_connects_and_says_nothing_holds_up_nobody(stack: Watched):
    """Half a request to each port, and both work and scrapes go on."""
    held = [socket.create_connection(("127.0.0.1", stack.ports[name])) for name in (*WORKERS, "dispatcher")]
    try:
        for one in held:
            one.sendall(b"GET /metrics HTTP/1.1\r\nHo")
        assert all(stack.answers(name) for name in (*WORKERS, "dispatcher"))
        assert Journey(stack, "A 2 second clip beside silent readers.").end().status == "succeeded"
    finally:
        for one in held:
            one.close()
