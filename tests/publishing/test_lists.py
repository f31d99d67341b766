"""Lists of publications cost what they show, however many there are."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.publishing.conftest import at_address, owner_id
from tests.publishing.receiver_standin import Receiver
from worker.database import engine, transact
from worker.publishing import publications
from worker.publishing.models import PublicationState
from worker.publishing.publications import Filter

MANY = """
    INSERT INTO publications (id, owner_id, publisher_id, render_id, run, ref, state, finished_at)
    SELECT :publisher || n, :owner, :publisher, :render, 1, 'lamp-' || n, 'published', now()
    FROM generate_series(1, :many) AS n"""


def _asked(wanted: Filter) -> tuple[str, Any]:
    """The statement that a page is read by."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine(), "before_cursor_execute", note)
    try:
        transact(lambda session: publications.page(session, owner_id(), wanted, limit=50))
    finally:
        event.remove(engine(), "before_cursor_execute", note)
    return seen[-1]


@pytest.mark.parametrize("which", ["failed", "pending", "publisher"])
def test_a_page_of_few_is_found_by_its_index(receiver: Receiver, render: Callable[..., str], which: str):
    """What is looked for in trouble, and what a publisher brought; whatever the driver prepares."""
    publisher, other = at_address(receiver), at_address(receiver)
    given = {"owner": owner_id(), "render": render()}
    rows = [given | {"publisher": publisher, "many": 3000}, given | {"publisher": other, "many": 300}]
    transact(lambda session: session.execute(text(MANY), rows))
    wanted = Filter(publisher_id=other) if which == "publisher" else Filter(state=PublicationState(which))
    statement, parameters = _asked(wanted)

    def plan(session: Any) -> str:
        session.execute(text("ANALYZE publications"))
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        found = session.connection().exec_driver_sql("EXPLAIN " + statement, parameters)
        return "\n".join(row[0] for row in found)

    assert f"ix_publications_{which}" in transact(plan)
