"""What the stages do with a render of a session: they join its place, wait for what was said there before, and give the
place up when it is lost."""

from datetime import timedelta

from sqlalchemy import func, select, text, update

from tests.stack import Stack
from tests.stages.driving import step, the, to_its_end, until_stage
from worker import pipeline, watching
from worker.database import ago, from_now, transact
from worker.owners.store import owner
from worker.remote import intents
from worker.remote.intents import ABOUT_A_CLIP, ABOUT_AN_EDIT, Intent, IntentState
from worker.renders import following, runs
from worker.renders import store as renders
from worker.renders.models import Draft, Render
from worker.renders.states import Stage, Status
from worker.renders.store import NewRender
from worker.sessions import order, store
from worker.sessions.models import EditingSession


def a_session() -> str:
    return transact(lambda session: store.make(session, owner(session, "default").id).id)


def place_of(session_id: str) -> EditingSession:
    return transact(lambda session: session.get_one(EditingSession, session_id))


def say(session_id: str, words: str) -> str:
    """The next turn."""

    def append(session):
        place = store.locked(session, owner(session, "default").id, session_id)
        request = NewRender(prompt=words, language="en", on_unconfirmed="retry")
        return order.append(session, place, request, render_id=renders.new_id("rnd")).id

    return transact(append)


def message_of(render_id: str) -> Intent:
    newest = select(Intent).where(Intent.render_id == render_id).order_by(Intent.created_at.desc()).limit(1)
    return transact(lambda session: session.scalars(newest).one())


def set_message(render_id: str, **values) -> None:
    write = update(Intent).where(Intent.render_id == render_id).values(**values)
    transact(lambda session: session.execute(write))


def exported(render_id: str) -> Render:
    return until_stage(render_id, Stage.POLL)


def release() -> None:
    transact(following.release_followers)


def taken_on(session_id: str) -> str:
    """A first turn whose export is accepted."""
    first = say(session_id, "A 2 second clip of a lamp.")
    exported(first)
    return first


def test_an_edit_joins_the_place_that_the_first_turn_made(backend: Stack):
    """One session at the backend and one account for both; the edit is booked as one."""
    session_id = a_session()
    first, second = say(session_id, "A 2 second clip of a lamp."), say(session_id, "make it 3 seconds")
    assert (the(second).status, the(second).reason) == ("waiting", "session")
    release()
    assert the(second).status == "waiting", "the first one has no export yet"
    exported(first)
    release()
    assert the(second).status == "queued"
    row = exported(second)
    assert row.remote_session_id == the(first).remote_session_id == place_of(session_id).remote_session_id
    assert row.account_id == the(first).account_id == place_of(session_id).account_id
    assert (the(first).charge_credits, row.charge_credits) == (ABOUT_A_CLIP, ABOUT_AN_EDIT)
    assert "(0-3s)" in (row.timeline or "")
    assert "(0-2s)" in (the(first).timeline or "")


def test_a_place_lost_before_anything_was_said_is_replaced(backend: Stack):
    """As for any render; the session follows it, and the next turn joins the new one."""
    session_id = a_session()
    first = say(session_id, "A 2 second clip of a bell.")
    before = until_stage(first, Stage.GENERATE).remote_session_id
    backend.rule(on="message", do="lost", match="a bell")
    assert exported(first).remote_session_id != before
    place = place_of(session_id)
    assert (place.remote_session_id, place.lost_at) == (the(first).remote_session_id, None)


def test_a_place_lost_after_something_was_said_ends_the_session(backend: Stack):
    """The turn fails without a charge, those behind it too and without a call; what was made stands."""
    session_id = a_session()
    first = taken_on(session_id)
    second, third = say(session_id, "Lose this drum"), say(session_id, "and this one")
    backend.rule(on="message", do="lost", match="Lose this drum")
    row = to_its_end(second)
    assert (row.status, row.error_code, row.charge_state) == ("failed", "session.lost", "none")
    assert place_of(session_id).lost_at is not None
    release()
    assert to_its_end(third).error_code == "session.lost"
    assert to_its_end(first).status == "succeeded"


def test_nothing_is_sent_while_an_earlier_turn_may_be_at_work(backend: Stack):
    """A turn whose end nobody saw lives for as long as a stream does; only then the next message goes, and from there
    on what changes is the next one's."""
    session_id = a_session()
    first = taken_on(session_id)
    lost = say(session_id, "Cut this short [[sandbox: cut_before]]")
    row = until_stage(lost, Stage.LOOKUP)
    transact(lambda session: renders.cancel(session, row.owner_id, lost))
    pipeline.drive_cancel(lost)
    assert (the(lost).status, message_of(lost).state) == ("canceled", "unconfirmed")
    edit = say(session_id, "make it 4 seconds")
    release()
    waits = step(edit)
    assert (waits.status, waits.reason, waits.stage, waits.account_id) == ("waiting", "session", "token", None)
    assert message_of(lost).watch_at is not None
    # The stream's longest life is over, and the watch has read the state since.
    set_message(lost, send_by=ago(timedelta(seconds=8)), last_read_at=func.now())
    assert exported(edit).charge_credits == ABOUT_AN_EDIT
    ended = message_of(lost)
    assert (ended.state, ended.watch_at) == ("unconfirmed", None)
    assert message_of(edit).before == ended.before
    assert to_its_end(first).status == "succeeded"


def test_what_an_earlier_turn_did_late_is_its_own(backend: Stack):
    """Found while the next one waits: its charge is put right and its video delivered; only then the next message goes,
    and finds that as its beginning."""
    session_id = a_session()
    taken_on(session_id)
    late = say(session_id, "make it 5 seconds [[sandbox: cut_after]]")
    row = until_stage(late, Stage.LOOKUP)
    # As after a look-up that ended unknown, a moment before the backend got to it.
    transact(lambda session: intents.record(session, message_of(late).id, IntentState.UNCONFIRMED))
    failed = {"status": "failed", "finished_at": func.now(), "error_code": "generation.unconfirmed", "reason": None}
    transact(lambda session: session.execute(update(Render).where(Render.id == late).values(**failed)))
    set_message(late, send_by=ago(timedelta(seconds=9)), last_read_at=func.now(), watch_at=from_now(timedelta(hours=1)))
    edit = say(session_id, 'add the title "After"')
    until_stage(edit, Stage.GENERATE)
    assert step(edit).reason == "session", "the state has news"
    watching.run(pipeline.services().remote)
    assert (the(late).run, the(late).stage, message_of(late).state) == (2, "verify", "applied")
    assert step(edit, early=True).reason == "session", "its turn is open"
    assert "(0-5s)" in (exported(late).timeline or "")
    done = exported(edit)
    assert message_of(edit).draft_before == transact(lambda session: session.get_one(Draft, (late, 2))).body
    assert "After" in (done.timeline or "")
    assert row.remote_session_id == done.remote_session_id


def test_a_watch_says_nothing_about_what_follows(backend: Stack):
    """A read that was under way while the next message went: the change is not taken for the earlier one's."""
    session_id = a_session()
    first = taken_on(session_id)
    edit = say(session_id, "make it 6 seconds")
    release()
    exported(edit)
    given_up = {"state": IntentState.UNCONFIRMED.value, "watch_at": func.now()}
    set_message(first, **given_up)
    watching.run(pipeline.services().remote)
    assert (message_of(first).state, message_of(first).watch_at) == ("unconfirmed", None)


def test_an_edit_is_not_attempted_again_by_itself(backend: Stack):
    """`on_unconfirmed: retry` would leave the session: it fails; with force it goes again, in its place."""
    session_id = a_session()
    taken_on(session_id)
    edit = say(session_id, "Fail this whistle")
    backend.rule(on="message", do="error_frame", match="Fail this whistle")
    row = to_its_end(edit)
    assert (row.status, row.error_code, row.charge_state) == ("failed", "generation.failed", "none")

    def again(session):
        locked = renders.locked(session, row.owner_id, edit)
        runs.retry(session, locked, force=True, api_key_id=None)

    transact(again)
    set_message(edit, send_by=ago(timedelta(seconds=9)), last_read_at=func.now())
    after = exported(edit)
    assert (after.run, after.remote_session_id) == (2, place_of(session_id).remote_session_id)
    assert transact(lambda session: session.scalar(select(func.count()).where(Intent.render_id == edit))) == 2


def test_a_turn_waits_for_the_account_of_its_session(backend: Stack):
    """Held, another one with room will not do."""
    session_id = a_session()
    taken_on(session_id)
    edit = say(session_id, "make it 7 seconds")
    release()
    account = place_of(session_id).account_id
    other = text("INSERT INTO accounts (id, kind, name) VALUES ('acc_other', 'registered', 'other')")
    transact(lambda session: session.execute(other))
    held = text("UPDATE accounts SET held_at = CASE WHEN :held THEN now() END WHERE id = :id")
    try:
        transact(lambda session: session.execute(held, {"held": True, "id": account}))
        row = step(edit)
        assert (row.stage, row.reason, row.account_id) == ("token", "paused", None)
    finally:
        transact(lambda session: session.execute(held, {"held": False, "id": account}))
        transact(lambda session: session.execute(text("DELETE FROM accounts WHERE id = 'acc_other'")))
    step(edit, early=True)  # not after five seconds or more, when it would look again
    assert exported(edit).account_id == account


def test_files_of_two_turns_do_not_pass_for_each_other(backend: Stack):
    """The same name twice in one session at the backend is two files."""
    from worker.stages.upload import sent_name

    one, other, alone = (Render(id=f"rnd_{n * 26}", session_id=s) for n, s in (("a", "s"), ("b", "s"), ("c", None)))
    asset = {"name": "lamp.png"}
    assert sent_name(one, 0, asset) != sent_name(other, 0, asset)
    assert sent_name(alone, 0, asset) == "01_lamp.png"


def test_an_order_holds_whatever_is_cancelled_in_the_middle(backend: Stack):
    """Who follows one that never began follows the one before it; who follows a final one goes on."""
    session_id = a_session()
    first, second, third = (say(session_id, f"turn {n}") for n in range(3))
    row = the(second)
    transact(lambda session: renders.cancel(session, row.owner_id, second))
    release()
    assert (the(third).follows_id, the(third).status) == (first, "waiting")
    transact(lambda session: renders.cancel(session, row.owner_id, first))
    release()
    assert the(third).status == Status.QUEUED.value
