"""Each render's events form a path that the table of moves allows."""

from collections.abc import Iterator
from itertools import groupby

from tests.chaos.books import FINAL, Books, Row
from tests.chaos.invariants.violation import Violation
from worker.renders.states import MOVES, Stage, Status

ENDS = {f"render.{status}" for status in FINAL}


def path(books: Books) -> Iterator[Violation]:
    """Numbers without gaps; each run begins with `queued`, moves as allowed, ends once and says nothing more.

    That a batch was taken on is told once, of the batch: the first run of its renders begins without.
    """
    for render, row in books.renders.items():
        events = books.events_of(render)
        if [one["number"] for one in events] != list(range(1, row["event_number"] + 1)):
            facts = f"its events are numbered {_short([one['number'] for one in events])}"
            yield Violation("path", render, f"{facts}, the row counts {row['event_number']}")
        runs = [(run, list(inside)) for run, inside in groupby(events, key=lambda one: one["run"])]
        if [run for run, _ in runs] != list(range(1, row["run"] + 1)):
            yield Violation("path", render, f"{row['run']} runs, its events are of {[run for run, _ in runs]}")
        status = {one["run"]: one["status"] for one in books.all_runs(render)}
        for run, inside in runs:
            for wrong in (
                *_wrong(inside, status.get(run), quietly=_began_quietly(row, run)),
                *_wrongly_reused(inside, row),
            ):
                yield Violation("path", render, f"run {run}: {wrong}")


def _may_come_afterwards(event: Row) -> bool:
    """Of a run that is over nothing is told but that its message was carried out after all, and its deletion."""
    late = event["type"] == "render.message_settled" and event["data"].get("late") is True
    return late or event["type"] == "render.deleted"


def _is_taken_over(event: Row) -> bool:
    """The end of a render whose video was there: it goes through no stage."""
    return event["type"] == "render.succeeded" and "reused_from" in event["data"]


def _wrongly_reused(events: list[Row], row: Row) -> Iterator[str]:
    """The event names the render that the row does, and nothing but `queued` comes before it."""
    for place, event in enumerate(events):
        if _is_taken_over(event) and (event["data"]["reused_from"] != row["reused_from"] or place != 1):
            yield f"event {event['number']} takes over a video of {event['data']['reused_from']}"


def _short(numbers: list[int]) -> str:
    return f"{numbers[:20]}{'…' if len(numbers) > 20 else ''}"


def _began_quietly(row: Row, run: int) -> bool:
    return row["batch_id"] is not None and run == 1


def _wrong(events: list[Row], status: str | None, *, quietly: bool) -> Iterator[str]:
    if (events[0]["type"] == "render.queued") is quietly:
        yield f"it begins with {events[0]['type']}"
    at = Stage.TOKEN if quietly else Stage(events[0]["data"].get("stage", Stage.TOKEN.value))
    ended: str | None = None
    for event in events if quietly else events[1:]:
        kind, number = event["type"], event["number"]
        if ended is not None:
            if not _may_come_afterwards(event):
                yield f"{kind} ({number}) after {ended}"
        elif kind == "render.stage":
            to = Stage(event["data"]["stage"])
            if event["data"]["from"] != at.value or to not in MOVES[at]:
                yield f"event {number} goes from {event['data']['from']} to {to.value}, it was at {at.value}"
            at = to
        elif kind in ENDS:
            ended = kind.removeprefix("render.")
            if Status(ended) not in MOVES[at] and not _is_taken_over(event):
                yield f"{ended} at {at.value}"
        elif kind == "render.queued":
            yield f"queued again ({number})"
    if sum(event["type"] == "render.started" for event in events) > 1:
        yield "started more than once"
    if ended != (status if status in FINAL else None):
        yield f"its events end with {ended}, the row says {status}"
