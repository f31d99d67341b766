"""A token on file that cannot be read, or none that could be kept: the account waits, nothing else does."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import insert, update

from tests.accounts.conftest import accounts, admitted, install, now, open_places
from tests.stack import Stack, here
from worker import housekeeping
from worker.accounts import registry, tokens, vault
from worker.accounts.admission import NotAdmitted
from worker.accounts.models import Account
from worker.database import ago, new_id, transact
from worker.owners.store import owner
from worker.remote.client import Remote
from worker.renders import uploads
from worker.renders.models import Upload
from worker.renders.states import Reason


def unreadable() -> bytes:
    """Encrypted with a key that nobody has."""
    return Fernet(Fernet.generate_key()).encrypt(b"nmv_usr_whatever")


def spoil(account: Account) -> None:
    locked = unreadable()
    transact(lambda s: s.execute(update(Account).where(Account.id == account.id).values(token_encrypted=locked)))


def a_shop_beside() -> Account:
    """A second registered account."""
    shop = {"name": "shop", "owner_id": None, "slots": None}
    return transact(lambda session: registry.add(session, "nmv_sandbox_shop", **shop))


def an_unused_upload() -> str:
    """One that no render used in its time."""

    def work(session) -> str:
        row = {"id": new_id("upl"), "owner_id": owner(session, "default").id, "storage_key": "k", "name": "a.png"}
        row |= {"sha256": "0" * 64, "media_type": "image/png", "bytes": 1}
        session.execute(insert(Upload).values(created_at=ago(uploads.KEPT + timedelta(minutes=1)), **row))
        return row["id"]

    return transact(work)


@pytest.mark.parametrize("kind", ["registered", "anonymous"])
def test_a_token_that_cannot_be_read_holds_up_no_housekeeping(backend: Stack, remote: Remote, kind: str):
    """The other account's balance is read, and an unused upload expires."""
    install(**({"NEMO_TOKEN": "nmv_sandbox_first"} if kind == "registered" else {}))
    first, shop = accounts()[0], a_shop_beside()
    spoil(first)
    gone = an_unused_upload()
    housekeeping.run()
    read = {account.id: account.balance_read_at is not None for account in accounts()}
    assert read == {first.id: False, shop.id: True}
    assert transact(lambda session: session.get(Upload, gone)) is None


def test_a_token_that_cannot_be_read_counts_as_refused(backend: Stack, remote: Remote):
    """Its renders wait for it, and nothing new begins on it; the key put back, `resume` tries it again."""
    install(NEMO_TOKEN="nmv_sandbox_first")
    readable = accounts()[0].token_encrypted
    spoil(accounts()[0])
    with pytest.raises(tokens.NotNow) as waits:
        tokens.bearer(remote, accounts()[0], now())
    assert waits.value.reason is Reason.TOKEN
    housekeeping.run()
    refusal = admitted()
    assert isinstance(refusal, NotAdmitted)
    assert (refusal.reason, open_places()) == (Reason.TOKEN, 0)
    since = accounts()[0].token_refused_at
    housekeeping.run()
    assert accounts()[0].token_refused_at == since
    transact(lambda session: session.execute(update(Account).values(token_encrypted=readable)))
    transact(lambda session: registry.resume(session, registry.named(session, accounts()[0].id)[0]))
    assert tokens.bearer(remote, accounts()[0], now()) == "nmv_sandbox_first"


def test_a_worker_without_a_secret_key_refuses_no_token(backend: Stack, remote: Remote):
    """It cannot read it, others can: it waits, and the account stands ready for them."""
    install(NEMO_TOKEN="nmv_sandbox_first")
    with here({"VIVIDEO_SECRET_KEY": ""}):
        with pytest.raises(tokens.NotNow) as waits:
            tokens.bearer(remote, accounts()[0], now())
        housekeeping.run()
    assert waits.value.reason is Reason.TOKEN
    assert accounts()[0].token_refused_at is None
    assert tokens.bearer(remote, accounts()[0], now()) == "nmv_sandbox_first"


def test_no_token_is_asked_for_that_could_not_be_kept(backend: Stack, remote: Remote):
    """The trial's are few a week: without a secret key the backend is not asked, and the next worker is not held up."""
    install()
    with here({"VIVIDEO_SECRET_KEY": ""}), pytest.raises(vault.SecretKeyMissing):
        tokens.bearer(remote, accounts()[0], now())
    assert "token" not in backend.ledger()["first_calls"]
    assert accounts()[0].renewing_until is None
    tokens.bearer(remote, accounts()[0], now())
    assert "token" in backend.ledger()["first_calls"]
