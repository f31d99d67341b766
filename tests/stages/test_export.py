"""An export that cannot be asked for at the moment."""

from sqlalchemy import select

from tests.stack import Stack
from tests.stages.driving import a_render, step, the, to_its_end, until_stage
from worker.accounts import store
from worker.accounts.models import Account
from worker.database import transact
from worker.renders.models import Export
from worker.renders.states import Stage


def states(render: str) -> list[str]:
    """Of its exports, in the order they were begun."""
    found = select(Export.state).where(Export.render_id == render).order_by(Export.created_at)
    return transact(lambda session: list(session.scalars(found)))


def test_no_id_is_reserved_while_another_worker_renews_the_token(backend: Stack):
    """Nothing can be sent: an id on file would be asked after for nothing, and be given up."""
    render = a_render()
    until_stage(render, Stage.EXPORT)
    account = transact(lambda session: session.get_one(Account, the(render).account_id))
    transact(lambda session: store.refuse_token(session, account.id, account.token_version))
    assert transact(lambda session: store.begin_renewal(session, account.id, account.token_version))
    assert step(render).stage == Stage.EXPORT.value
    assert states(render) == []
    transact(lambda session: store.end_renewal(session, account.id))
    assert to_its_end(render).status == "succeeded"
    assert states(render) == ["completed"]
