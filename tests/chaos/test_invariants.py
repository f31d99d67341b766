"""Each invariant is broken by hand in the books of a run that went well, and the checker names that invariant.

Rows are changed in a transaction that is thrown away, files are put back: the run stays as it was for the next test.
"""

import json
import signal
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from tests.chaos import batches, gathering
from tests.chaos.books import Given, Reading, Row, read
from tests.chaos.invariants import ALL, check, names, paths
from tests.journeys.conftest import Journey
from tests.stack import Stack, WarmStack, here, until
from worker.database import transact
from worker.owners.store import owner
from worker.renders import runs, store


class Run:
    """A small finished run: what went well, what was looked up, what was repeated, what was taken over."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.plain = Journey(stack, "A 2 second clip, plain.")
        self.looked_up = Journey(stack, "A 2 second clip, looked up. [[sandbox: cut_after]]")
        stack.rule(do="error_frame", match="clip, again.")
        self.again = Journey(stack, "A 2 second clip, again.", on_unconfirmed="retry")
        stack.rule(do="rate_limited", match="refused.")
        self.refused = Journey(stack, "A 2 second clip, refused.")
        self.unknown = Journey(stack, "A 2 second clip, unknown. [[sandbox: cut_before]]")
        self.exported_twice = Journey(stack, "A 2 second clip, exported twice. [[sandbox: export_fails times=2]]")
        self.canceled = Journey(stack, "A 2 second clip, canceled. [[sandbox: export_stuck]]")
        self.taken = Journey(stack, "A 2 second clip, taken over. [[sandbox: stream seconds=3]]")
        self._take_over()
        until(lambda: self.canceled.row.stage == "poll", what="its export")
        self._change(lambda session, mine: store.cancel(session, mine, self.canceled.id))
        assert self.exported_twice.end().error_code == "export.failed"
        self._change(self._retry)
        self.all = {name: one for name, one in vars(self).items() if isinstance(one, Journey)}
        for one in self.all.values():
            one.end()
        self.ledger = stack.ledger()

    def _take_over(self) -> None:
        until(self.taken.messages, what="its message")
        stream = self.stack.running["stream"]
        stream.send_signal(signal.SIGSTOP)
        until(self.taken.recoveries, what="the takeover")
        stream.send_signal(signal.SIGCONT)

    def _change(self, work: Callable[[Any, str], Any]) -> None:
        transact(lambda session: work(session, owner(session, "default").id))

    def _retry(self, session: Any, mine: str) -> None:
        row = store.locked(session, mine, self.exported_twice.id)
        assert row is not None
        runs.retry(session, row, force=False, api_key_id=None)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Run]:
    """The run, with nothing left to do."""
    with (
        WarmStack(tmp_path_factory.mktemp("s"), database, broker_url, VIVIDEO_LEASE_SECONDS="2") as stack,
        here(stack.environment),
    ):
        stack.start_all()
        yield Run(stack)


class Spoilt:
    """The run's books with something changed in them."""

    def __init__(self, run: Run, connection: psycopg.Connection) -> None:
        self.run = run
        self.connection = connection
        self.ledger: Row = deepcopy(run.ledger)
        self.given: Given = gathering.given(run.stack, connection)

    def sql(self, statement: str, *parameters: object) -> None:
        """Change a row."""
        assert self.connection.execute(statement.encode(), parameters).rowcount > 0

    def message(self, journey: Journey) -> Row:
        """A render's (last) message in the backend's ledger."""
        return [one for one in self.ledger["messages"] if one["text"].strip() == journey.prompt.strip()][-1]

    def names(self) -> set[str]:
        """Which invariants are broken now."""
        return names(check(read(self.connection, self.ledger, self.given)))


@pytest.fixture
def spoilt(run: Run) -> Iterator[Spoilt]:
    with gathering.connected(run.stack) as connection:
        yield Spoilt(run, connection)


def test_a_good_run_breaks_none(spoilt: Spoilt):
    """All of it as it happened: nothing to report, although a message went twice and one is unknown."""
    run = spoilt.run
    assert [str(one) for one in check(read(spoilt.connection, spoilt.ledger, spoilt.given))] == []
    ends = {name: one.row.status for name, one in run.all.items()}
    assert ends == dict.fromkeys(ends, "succeeded") | {"unknown": "failed", "canceled": "canceled"}
    assert (len(run.again.messages()), run.unknown.row.charge_state) == (2, "unknown")
    assert (run.exported_twice.row.run, len(run.taken.recoveries())) == (2, 1)


SECRET = "a secret that was in use"
Break = Callable[[Spoilt], Any]


def _unfinished(it: Spoilt) -> None:
    """One that was taken on and that nobody ever began."""
    it.sql(
        "INSERT INTO renders (id, owner_id, lane_id, prompt, language, event_number)"
        " SELECT 'rnd_waiting', owner_id, lane_id, 'never begun', 'en', 1 FROM renders WHERE id = %s",
        it.run.plain.id,
    )
    it.sql(
        "INSERT INTO events (owner_id, render_id, run, number, type)"
        " SELECT owner_id, id, 1, 1, 'render.queued' FROM renders WHERE id = 'rnd_waiting'"
    )


def _called_none(it: Spoilt) -> None:
    """Our books agree with each other, and not with the backend's."""
    it.sql("UPDATE intents SET state = 'not_applied' WHERE render_id = %s", it.run.plain.id)
    it.sql("UPDATE renders SET charge_state = 'none', charge_credits = NULL WHERE id = %s", it.run.plain.id)


def _once(it: Spoilt) -> None:
    """As if the request had not asked for another attempt, and nothing had told that the first was not carried out.
    (On a busy machine a lease may have ended before that: such an attempt is unsent.)"""
    it.sql("UPDATE renders SET on_unconfirmed = 'fail' WHERE id = %s", it.run.again.id)
    it.sql(
        "UPDATE intents SET state = 'unconfirmed', evidence = '[]' WHERE id ="
        " (SELECT id FROM intents WHERE render_id = %s AND state <> 'unsent' ORDER BY created_at LIMIT 1)",
        it.run.again.id,
    )


def _readable(it: Spoilt) -> None:
    """As if the backend had carried the unknown message out at once."""
    message = it.message(it.run.unknown)
    message |= {"executed": True, "charged": 100, "refunded": 0, "outcome": "applied", "ended_at": message["at"] + 1}


def _second_turn(it: Spoilt) -> None:
    """Two messages of nobody's in one session, the second before the first was done."""
    first = {**it.message(it.run.plain), "text": "nobody's", "session": "s"}
    it.ledger["messages"] += [first, {**first, "at": first["at"] + 0.1}]


def _hasty(it: Spoilt) -> None:
    export = next(one for one in it.ledger["exports"] if len(one["polls"]) > 0)
    export["polls"].append(export["polls"][-1] + 0.2)


def _late_write(it: Spoilt) -> None:
    it.sql(
        "UPDATE attempts SET ended_at = ended_at + interval '1 hour' WHERE render_id = %s AND lease = 2",
        it.run.plain.id,
    )


def _zombie(it: Spoilt) -> None:
    """As if the frozen worker's outcome had been written over the takeover's."""
    it.sql("UPDATE attempts SET outcome = 'snooze' WHERE render_id = %s AND outcome = 'taken_over'", it.run.taken.id)


def _twice(it: Spoilt) -> None:
    it.sql("UPDATE attempts SET outcome = 'advance' WHERE render_id = %s AND outcome = 'done'", it.run.plain.id)


def _feed(it: Spoilt) -> None:
    rows = read(it.connection, it.ledger, it.given).events
    given = [(row["render_id"], row["number"]) for row in rows]
    it.given = replace(it.given, readings=(Reading(0, given), Reading(3, given[3:10] + given[11:])))


def _column(it: Spoilt) -> None:
    it.given = replace(it.given, secrets=it.given.secrets | {SECRET})
    it.sql(
        "UPDATE events SET data = %s WHERE render_id = %s AND type = 'render.answer'",
        json.dumps({"answer": SECRET}), it.run.plain.id,
    )  # fmt: skip


def _denied(it: Spoilt) -> None:
    """Its messages are paid for, and it says that it cost nothing."""
    it.sql("UPDATE renders SET charge_state = 'none' WHERE id = %s", it.run.plain.id)


BROKEN: dict[str, tuple[str, Break]] = {
    "one that never ends": ("final", _unfinished),
    "one that was accepted and is not there": (
        "accepted",
        lambda it: setattr(it, "given", replace(it.given, accepted=frozenset({*_ids(it), "rnd_lost"}))),
    ),
    "one that nobody was told of": (
        "accepted",
        lambda it: setattr(it, "given", replace(it.given, accepted=frozenset(_ids(it)[1:]))),
    ),
    "another hash in the row": (
        "file",
        lambda it: it.sql("UPDATE results SET sha256 = repeat('0', 64) WHERE render_id = %s", it.run.plain.id),
    ),
    "a file that the backend did not make": (
        "file",
        lambda it: [one.update(sha256="0" * 64) for one in it.ledger["exports"]],
    ),
    "a success without a result": (
        "file",
        lambda it: it.sql("DELETE FROM results WHERE render_id = %s", it.run.plain.id),
    ),
    "a second message without a reason": ("once", _once),
    "a message that is called unsent": (
        "recorded",
        lambda it: it.sql(
            "UPDATE intents SET state = 'unsent' WHERE render_id = %s AND state = 'refused'", it.run.refused.id
        ),
    ),
    "a message before its record": (
        "recorded",
        lambda it: it.message(it.run.plain).update(at=it.message(it.run.plain)["at"] - 3600),
    ),
    "a charge called unknown that could be read": ("charge", _readable),
    "a charge called none": ("charge", _called_none),
    "a charge that was none": ("charge", lambda it: it.message(it.run.plain).update(charged=0, executed=False)),
    "a charge that its run denies": ("sums", _denied),
    "an unknown that is not listed": (
        "sums",
        lambda it: it.sql("UPDATE renders SET charge_state = 'none' WHERE id = %s", it.run.unknown.id),
    ),
    "an early question": ("polls", _hasty),
    "two turns at a time": ("turns", _second_turn),
    "a refused second turn": (
        "turns",
        lambda it: it.ledger["violations"].append({"what": "concurrent_turn", "detail": "s"}),
    ),
    "an altered draft": (
        "contract",
        lambda it: it.ledger["violations"].append({"what": "draft_altered", "detail": "s"}),
    ),
    "an outcome written after the next claim": ("lease", _late_write),
    "a lease of the row's future": (
        "lease",
        lambda it: it.sql("UPDATE renders SET lease = lease - 2 WHERE id = %s", it.run.plain.id),
    ),
    "an outcome over a takeover": ("takeover", _zombie),
    "a takeover that is not told": (
        "takeover",
        lambda it: it.sql("UPDATE events SET type = 'render.hint' WHERE type = 'render.recovered'"),
    ),
    "an outcome that no event tells of": ("outcomes", _twice),
    "a secret in a column": ("secrets", _column),
    "a number left out": (
        "path",
        lambda it: it.sql("DELETE FROM events WHERE render_id = %s AND type = 'render.started'", it.run.plain.id),
    ),
    "a move that there is not": (
        "path",
        lambda it: it.sql(
            "UPDATE events SET data = data || '{\"stage\": \"store\"}' WHERE render_id = %s"
            " AND type = 'render.stage' AND data->>'stage' = 'generate'",
            it.run.plain.id,
        ),
    ),
    "two ends": (
        "path",
        lambda it: it.sql(
            "UPDATE events SET type = 'render.failed' WHERE render_id = %s AND type = 'render.answer'", it.run.plain.id
        ),
    ),
    "an end that the row does not know": (
        "path",
        lambda it: it.sql(
            "UPDATE events SET type = 'render.failed' WHERE render_id = %s AND type = 'render.succeeded'",
            it.run.plain.id,
        ),
    ),
    "an event that a reader missed": ("feed", _feed),
}  # fmt: skip


def _ids(it: Spoilt) -> list[str]:
    return sorted(one.id for one in it.run.all.values())


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_named(spoilt: Spoilt, what: str):
    """One thing changed by hand: exactly that invariant is reported."""
    invariant, spoil = BROKEN[what]
    spoil(spoilt)
    assert spoilt.names() == {invariant}


def _take_over(it: Spoilt) -> None:
    """Another render, with the words and the video of one that went well."""
    it.sql(
        "INSERT INTO renders (id, owner_id, lane_id, prompt, language, status, stage, reused_from, started_at,"
        " finished_at, event_number) SELECT 'rnd_reused', owner_id, lane_id, prompt, language, status, stage, id,"
        " now(), now(), 2 FROM renders WHERE id = %s",
        it.run.plain.id,
    )
    for number, kind in ((1, "render.queued"), (2, "render.succeeded")):
        it.sql(
            "INSERT INTO events (owner_id, render_id, run, number, type, data) SELECT owner_id, id, 1, %s, %s,"
            " CASE WHEN %s = 2 THEN jsonb_build_object('reused_from', reused_from) ELSE '{}' END"
            " FROM renders WHERE id = 'rnd_reused'",
            number, kind, number,
        )  # fmt: skip
    facts = (
        "storage_key, poster_key, sha256, bytes, duration_seconds, width, height, video_codec, audio_codec,"
        " pixel_format, frame_rate"
    )
    query = "INSERT INTO results (render_id, run, owner_id, {0}) SELECT 'rnd_reused', 1, owner_id, {0} FROM results"
    it.sql(query.format(facts) + " WHERE render_id = %s", it.run.plain.id)


def test_a_video_that_was_taken_over_breaks_none(spoilt: Spoilt):
    """The same words, no message, no stage, another's file: as it should be."""
    _take_over(spoilt)
    assert [str(one) for one in check(read(spoilt.connection, spoilt.ledger, spoilt.given))] == []


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ('UPDATE events SET data = \'{"reused_from": "rnd_x"}\' WHERE number = 2 AND render_id = %s', "path"),
        ("UPDATE events SET data = '{}' WHERE number = 2 AND render_id = %s", "path"),
        ("DELETE FROM results WHERE render_id = %s", "file"),
        ("UPDATE results SET sha256 = repeat('0', 64) WHERE render_id = %s", "file"),
    ],
)
def test_a_video_that_was_taken_over_wrongly_is_named(spoilt: Spoilt, statement: str, broken: str):
    """The event names another render, or none; there is no result, or another's."""
    _take_over(spoilt)
    spoilt.sql(statement, "rnd_reused")
    assert spoilt.names() == {broken}


def test_a_video_that_was_taken_over_is_its_makers(spoilt: Spoilt):
    """A file that the backend made for a third render is not the one that was taken over."""
    _take_over(spoilt)
    spoilt.sql("UPDATE renders SET reused_from = %s WHERE id = 'rnd_reused'", spoilt.run.looked_up.id)
    spoilt.sql(
        "UPDATE events SET data = jsonb_build_object('reused_from', %s::text) WHERE number = 2 AND render_id = %s",
        spoilt.run.looked_up.id, "rnd_reused",
    )  # fmt: skip
    assert spoilt.names() == {"file"}


def test_every_invariant_is_broken_here():
    """None of them could be forgotten."""
    assert {invariant for invariant, _ in BROKEN.values()} == set(ALL)


def test_a_cut_file_is_noticed(spoilt: Spoilt):
    """The bytes on disk count, not what the row says of them."""
    path = spoilt.run.stack.home / "results" / spoilt.run.plain.result().storage_key
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        assert spoilt.names() == {"file"}
    finally:
        path.write_bytes(whole)
    assert spoilt.names() == set()


def test_a_stray_file_is_noticed(spoilt: Spoilt):
    """One file for each success, and no other."""
    path = spoilt.run.stack.home / "results" / spoilt.run.plain.result().storage_key
    stray = path.with_name("0" * 16 + ".mp4")
    stray.write_bytes(path.read_bytes())
    try:
        assert spoilt.names() == {"file"}
    finally:
        stray.unlink()


def test_a_secret_in_a_log_or_a_file_is_noticed(spoilt: Spoilt):
    """Every process's log and every file below the state directory is read."""
    token = next(iter(gathering.secrets(spoilt.run.stack)))
    for name in ("io.log", "results/notes.txt"):
        path = spoilt.run.stack.home / name
        before = path.read_bytes() if path.exists() else None
        path.write_bytes((before or b"") + token.encode())
        try:
            assert spoilt.names() == {"secrets"}, name
        finally:
            path.unlink() if before is None else path.write_bytes(before)


@pytest.mark.parametrize(
    ("kind", "data", "allowed"),
    [
        ("message_settled", {"late": True}, True),
        ("deleted", {}, True),
        ("message_settled", {"state": "applied"}, False),
        ("hint", {}, False),
        ("failed", {}, False),
    ],
)
def test_of_a_run_that_is_over_only_a_late_find_and_its_deletion_are_told(kind: str, data: Row, allowed: bool):
    """The books are corrected after its end, and the next run has the video."""
    told = [("queued", {}), ("failed", {}), (kind, data)]
    events = [{"type": f"render.{what}", "number": number, "data": more} for number, (what, more) in enumerate(told, 1)]
    assert (list(paths._wrong(events, "failed", quietly=False)) == []) is allowed


@pytest.mark.parametrize(("first", "quietly", "allowed"), [("queued", True, False), ("failed", True, True)])
def test_a_render_of_a_batch_begins_without_a_word(first: str, quietly: bool, allowed: bool):
    """A batch of a hundred thousand is told of once."""
    told = [first, *(["failed"] if first == "queued" else [])]
    events = [{"type": f"render.{what}", "number": number, "data": {}} for number, what in enumerate(told, 1)]
    assert (list(paths._wrong(events, "failed", quietly=quietly)) == []) is allowed


_A_BATCH = """
    WITH made AS (INSERT INTO batches (id, owner_id, source, state, accepted_at, finished_at, total)
        SELECT 'bat_x', owner_id, 'jsonl', 'finished', now(), now(), 1 FROM renders WHERE id = %s RETURNING id)
    UPDATE renders SET batch_id = made.id, batch_position = 1, external_ref = 'one' FROM made WHERE renders.id = %s"""


@pytest.mark.parametrize(
    ("statement", "promised"),
    [
        ("SELECT 1", []),
        ("SELECT 1", ["bat_x", "bat_y"]),
        ("UPDATE batches SET state = 'open', finished_at = NULL", ["bat_x"]),
        ("UPDATE batches SET total = 2", ["bat_x"]),
        ("UPDATE renders SET external_ref = NULL WHERE batch_id = 'bat_x'", ["bat_x"]),
    ],
)
def test_a_batch_that_is_not_as_promised_is_named(spoilt: Spoilt, statement: str, promised: list[str]):
    """Made without a promise, promised and gone, without an end, short of a render, with one that is none of its."""
    spoilt.sql(_A_BATCH, spoilt.run.plain.id, spoilt.run.plain.id)
    assert batches.check(spoilt.connection, ["bat_x"]) == []
    spoilt.sql(statement)
    assert batches.check(spoilt.connection, promised) != []
