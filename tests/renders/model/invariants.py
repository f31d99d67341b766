"""What has to hold after every step, read from the database with statements of the test's own."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.renders.model import world
from tests.renders.model.expected import OVERDUE, Row
from tests.renders.model.world import Reader
from worker.accounts.admission import slots_by_account
from worker.database import transact
from worker.renders.states import FINAL, MOVES, Stage

ROWS = """SELECT id, run, stage, status, reason, lease, worker_id, started_at IS NOT NULL AS begun, tries, priority,
    cancel_requested_at IS NOT NULL AS canceling, finished_at, charge_state, account_id, remote_session_id,
    event_number, purged_at IS NOT NULL AS purged, error_code, cancel_effect, expiring,
    extract(epoch FROM ready_at - now()) AS ready, extract(epoch FROM sent_at - now()) AS sent, sends FROM renders"""
RUNS = "SELECT render_id, run, status, stage, charge_state, error_code, cancel_effect, finished_at FROM render_runs"
INTENTS = """SELECT id, render_id, run, remote_session_id, state, settled_at IS NOT NULL AS settled
    FROM intents ORDER BY created_at, id"""
EVENTS = "SELECT id, render_id, run, number, type, data FROM events ORDER BY render_id, number"
FEED = "SELECT transaction::text::bigint AS transaction, id FROM events ORDER BY 1, 2"
OF_AN_END = ("run", "status", "stage", "error_code", "cancel_effect", "finished_at")
FREE_OF_SLOTS = (Stage.EXPORT, Stage.POLL, Stage.STORE)
"""The message is settled, the account's place is another's."""
FINAL_EVENTS = {f"render.{status.value}" for status in FINAL}

Found = dict[str, Any]


class Invariants:
    """Remembers what may never change again."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self._leases: dict[str, tuple[int, str | None]] = {}
        self._ends: dict[tuple[str, int], tuple[Any, ...]] = {}

    def close(self) -> None:
        """Done with the database."""
        self._connection.close()

    def hold(self, expected: dict[str, Row], now: int, slots: int, readers: Iterable[Reader]) -> None:
        """All of them; AssertionError names the one that does not."""
        rows = {row["id"]: row for row in self._all(ROWS)}
        as_the_model_says(rows, expected, now)
        self._numbers_only_grow(rows)
        runs = self._all(RUNS)
        self._ends_stay(rows, runs)
        for run in runs:  # what is found out late is found out of the run that paid
            assert run["charge_state"] == expected[run["render_id"]].charge(run["run"]), "the books say what is known"
        intents = self._all(INTENTS)
        messages = {message.id: message.state.value for row in expected.values() for message in row.messages}
        assert {intent["id"]: intent["state"] for intent in intents} == messages, "what is known of each message"
        one_turn_at_a_time(intents, expected)
        told_without_gaps(self._all(EVENTS), rows)
        self._nobody_missed_anything(readers)
        slots_are_as_derived(expected, slots)

    def _all(self, statement: str) -> list[Found]:
        return self._connection.execute(statement.encode()).fetchall()

    def _numbers_only_grow(self, rows: dict[str, Found]) -> None:
        for id, row in rows.items():
            lease, owner = self._leases.get(id, (0, None))
            assert row["lease"] >= lease, "lease numbers only grow"
            if row["worker_id"] not in (None, owner):
                assert row["lease"] > lease, "a new owner has a new number"
            self._leases[id] = (row["lease"], row["worker_id"])

    def _ends_stay(self, rows: dict[str, Found], runs: list[Found]) -> None:
        now = {(id, row["run"]): row for id, row in rows.items() if row["finished_at"]}
        now |= {(row["render_id"], row["run"]): row for row in runs}
        ends = {key: tuple(row[name] for name in OF_AN_END) for key, row in now.items()}
        for key, end in self._ends.items():
            assert ends.get(key) == end, f"the end of {key} is as it was"
        for id, row in rows.items():
            assert {run for render, run in ends if render == id} >= set(range(1, row["run"])), "earlier runs have ended"
        self._ends |= ends

    def _nobody_missed_anything(self, readers: Iterable[Reader]) -> None:
        there = [((row["transaction"], row["id"]), row["id"]) for row in self._all(FEED)]
        kept = {id for _, id in there}
        for reader in readers:
            behind = (reader.cursor.transaction, reader.cursor.id)
            read = [id for id in reader.seen if id in kept]  # a deleted render's events are gone
            assert read == [id for place, id in there if place <= behind], "whoever reads on has missed nothing"


def slots_are_as_derived(expected: dict[str, Row], slots: int) -> None:
    """Those of renders whose message is not settled yet, and no more than there are."""
    used = transact(lambda session: slots_by_account(session, ["acc"])).get("acc", 0)
    assert used == in_use(expected.values()), "slots in use are derived from the rows"
    paid_before = sum(row.run > 1 and row.latest() is None and row.stage is Stage.VERIFY for row in expected.values())
    assert used <= slots + paid_before, "no more than there are, but for those that go on from paid work"


def everything_is_reachable(expected: dict[str, Row]) -> None:
    """If every worker died now, some look of the dispatcher would in time find each render that is not over."""
    reached = sorted(world.reached_in_the_end())
    assert reached == sorted(id for id, row in expected.items() if not row.final), "nothing is unreachable"


def in_use(rows: Iterable[Row]) -> int:
    """Slots, by the model."""
    return sum(row.admitted and not row.final and row.stage not in FREE_OF_SLOTS for row in rows)


def as_the_model_says(rows: dict[str, Found], expected: dict[str, Row], now: int) -> None:
    """Every row, field by field; the charge is what the messages say."""
    assert rows.keys() == expected.keys()
    for id, row in rows.items():
        wanted = expected[id]
        named = (
            "run",
            "stage",
            "status",
            "reason",
            "lease",
            "worker_id",
            "begun",
            "tries",
            "priority",
            "canceling",
            "expiring",
        )
        found = {name: row[name] for name in (*named, "remote_session_id", "charge_state", "purged", "error_code")}
        assert found == {
            **{name: getattr(wanted, name) for name in named if name != "worker_id"},
            "worker_id": wanted.owner,
            "remote_session_id": wanted.session,
            "charge_state": wanted.charge(),
            "purged": wanted.purged,
            "error_code": wanted.error,
        }
        assert (row["finished_at"] is not None, row["account_id"] is not None) == (wanted.final, wanted.admitted)
        if not wanted.final:
            _at_the_time(row["ready"], wanted.ready - now)
            _at_the_time(row["sent"], None if wanted.sent is None else wanted.sent - now)
            assert wanted.sent is None or row["sends"] == wanted.sends


def _at_the_time(found: Any, wanted: int | None) -> None:
    assert (found is None) == (wanted is None)
    assert wanted is None or abs(float(found) - wanted) < 0.6 * OVERDUE, "due when it should be"


def one_turn_at_a_time(intents: list[Found], expected: dict[str, Row]) -> None:
    """A session has one unsettled message at most; a second message needs evidence, leave or force."""
    open_in: dict[str, int] = defaultdict(int)
    before: dict[str, list[Found]] = defaultdict(list)
    for intent in intents:
        open_in[intent["remote_session_id"]] += not intent["settled"]
        row = expected[intent["render_id"]]
        for earlier in before[intent["render_id"]]:
            if earlier["state"] in ("unsent", "refused", "not_applied"):
                continue
            if intent["run"] != earlier["run"]:
                assert any(earlier["run"] < run <= intent["run"] for run in row.forced), "paid again without force"
            else:
                assert (earlier["state"], row.on_unconfirmed) == ("unconfirmed", "retry"), "sent twice in a run"
        before[intent["render_id"]].append(intent)
    assert all(count <= 1 for count in open_in.values()), "one turn at a time"


def told_without_gaps(events: list[Found], rows: dict[str, Found]) -> None:
    """Numbers without gaps up to the row's, allowed moves, and one end for each run that is over."""
    told: dict[str, list[Found]] = defaultdict(list)
    for event in events:
        told[event["render_id"]].append(event)
    for id, row in rows.items():
        mine = told[id]
        assert mine[-1]["number"] == row["event_number"], "the row knows its last event"
        if row["purged"]:
            continue
        assert [event["number"] for event in mine] == list(range(1, len(mine) + 1)), "events are numbered without gaps"
        for run in range(1, row["run"] + 1):
            _one_run([event for event in mine if event["run"] == run], over=run < row["run"] or row["finished_at"])


def _one_run(events: list[Found], *, over: Any) -> None:
    at = Stage(events[0]["data"].get("stage", "token"))
    for event in events:
        if event["type"] == "render.stage":
            to = Stage(event["data"]["stage"])
            assert event["data"]["from"] == at.value
            assert to in MOVES[at], "moves are those of the table"
            at = to
    assert sum(event["type"] in FINAL_EVENTS for event in events) == bool(over), "one end a run"
