"""Assets whose uploads are not answered: each is in the session once, whatever is waited for meanwhile."""

import io

from PIL import Image

from tests.stack import Stack
from tests.stages.driving import a_render, break_it, heal, probe_is_due, step, the, to_its_end, until_stage
from worker import pipeline
from worker.accounts import registry
from worker.accounts.models import Account, RemoteSession
from worker.database import transact
from worker.owners.store import owner
from worker.remote import circuit
from worker.renders import store as renders
from worker.renders.models import Render
from worker.renders.states import Stage
from worker.renders.store import NewRender

KEY = "uploads/test/lamp.png"


def a_render_with_a_file(words: str) -> str:
    held = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(held, "PNG")
    pipeline.services().storage.put_bytes(KEY, held.getvalue())
    asset = {"name": "lamp.png", "media_type": "image/png", "bytes": len(held.getvalue()), "storage_key": KEY}
    request = NewRender(prompt=words, language="en", assets=[asset])
    return transact(lambda session: renders.accept(session, owner(session, "default").id, request)).id


def files_of(backend: Stack, row: Render) -> list[str]:
    """What the backend has in the render's session."""
    place = transact(lambda session: session.get_one(Render, row.id).remote_session_id)
    known = transact(lambda session: session.get_one(RemoteSession, place).session_id)
    return [one["filename"] for one in backend.ledger()["uploads"] if one["session"] == known]


def test_a_file_whose_answer_opened_the_circuit_goes_up_once(backend: Stack):
    """The answer is lost as the last failure that a broken backend is given: the wait takes the fault's count away, and
    what arrived is looked for all the same."""
    render = a_render_with_a_file("A 2 second clip of a lamp, its answer lost.")
    until_stage(render, Stage.UPLOAD)
    other = a_render()
    until_stage(other, Stage.SESSION)
    break_it(backend)
    for _ in range(2):
        step(other, early=True)
    heal(backend)
    backend.rule(do="upload_answer_lost")
    row = step(render)
    assert (row.stage, row.status, row.reason, row.tries) == ("upload", "waiting", "backend", 0)
    assert files_of(backend, row) == ["01_lamp.png"]
    probe_is_due()
    row = step(render, early=True)
    assert row.stage == "generate"
    assert files_of(backend, row) == ["01_lamp.png"]
    assert transact(circuit.standing) is None
    assert to_its_end(render).status == "succeeded"


def test_a_file_whose_answer_was_lost_before_a_pause_goes_up_once(backend: Stack):
    """Its owner holds the account between the fault and the next try."""
    render = a_render_with_a_file("A 2 second clip of a lamp, held after its answer was lost.")
    until_stage(render, Stage.UPLOAD)
    backend.rule(do="upload_answer_lost")
    assert step(render).tries == 1
    account = the(render).account_id
    transact(lambda session: registry.hold(session, session.get_one(Account, account)))
    row = step(render)
    assert (row.stage, row.reason, row.tries) == ("upload", "paused", 0)
    transact(lambda session: registry.resume(session, session.get_one(Account, account)))
    row = step(render)
    assert row.stage == "generate"
    assert files_of(backend, row) == ["01_lamp.png"]


def test_a_new_session_gets_the_files_of_a_lost_one(backend: Stack):
    """What was begun in the old session is begun anew in the next."""
    render = a_render_with_a_file("A 2 second clip of a lamp, in a second session.")
    until_stage(render, Stage.UPLOAD)
    backend.rule(do="lost", on="upload")
    row = step(render)
    assert (row.stage, row.assets[0].keys() & {"begun", "sent"}) == ("session", set())
    row = until_stage(render, Stage.GENERATE)
    assert files_of(backend, row) == ["01_lamp.png"]
