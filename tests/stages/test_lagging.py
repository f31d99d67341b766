"""A draft that was found and is then read as before: a replica of the backend's that lags, stage by stage."""

from datetime import timedelta

from sqlalchemy import update

from tests.stack import Stack
from tests.stages.driving import a_render, step, to_its_end, until_stage
from worker import pipeline
from worker.database import ago, transact
from worker.remote import intents
from worker.remote.intents import Intent
from worker.renders.states import Stage


def found_late(words: str) -> tuple[str, str]:
    """A render whose look-up read nothing new five times and then the change, and what the state was before. From here
    on its state reads as before."""
    render = a_render(f"{words} [[sandbox: cut_after]]")
    until_stage(render, Stage.LOOKUP)
    mine = the_message(render)
    for _ in range(5):
        transact(lambda session: intents.record_read(session, the_message(render), mine.before))
    write(render, send_by=ago(timedelta(hours=1)))
    until_stage(render, Stage.VERIFY)
    assert (the_message(render).reads, the_message(render).unchanged_reads) == (6, 5)
    write(render, before=Intent.seen)
    return render, mine.before


def the_message(render: str) -> Intent:
    return transact(lambda session: session.query(Intent).filter(Intent.render_id == render).one())


def write(render: str, **values: object) -> None:
    transact(lambda session: session.execute(update(Intent).where(Intent.render_id == render).values(**values)))


def test_one_stale_read_after_a_find_fails_no_paid_draft(backend: Stack):
    """The look-up's reads do not count against it: it is read again, and the draft is delivered."""
    render, before = found_late("A 2 second clip from a lagging replica.")
    row = step(render)
    assert (row.status, row.stage, row.error_code) == ("running", "verify", None)
    write(render, before=before)
    assert to_its_end(render).status == "succeeded"


def test_a_find_that_no_read_shows_again_has_no_draft(backend: Stack):
    """As many reads as a look-up makes, all in this stage: the last one is believed."""
    render, _ = found_late("A 2 second clip that went away again.")
    reads = pipeline.services().settings.waits.lookup_reads
    rows = [step(render, early=True) for _ in range(reads)]
    assert [row.status for row in rows] == ["running"] * (reads - 1) + ["failed"]
    assert rows[-1].error_code == "generation.no_draft"
