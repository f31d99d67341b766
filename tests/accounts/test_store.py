"""Accounts: installed from the settings, admitting by slots and pauses, renewing once."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import update

from config.settings import settings
from tests.accounts.conftest import accounts, admitted, admitted_at_once, install, now, open_places
from worker.accounts import pauses, store, vault
from worker.accounts.admission import NotAdmitted
from worker.accounts.models import Account
from worker.database import transact
from worker.renders.states import Reason


def test_with_no_token_there_is_one_trial_however_often_it_is_installed():
    """Installing again keeps the client id: no second identity."""
    install()
    (first,) = accounts()
    install()
    (again,) = accounts()
    assert (again.kind, again.client_id) == ("anonymous", first.client_id)


def test_a_registered_token_comes_before_the_trial_and_is_kept_encrypted():
    """The token's text is nowhere in the row, and the trial is not used while there is one."""
    install()
    install(NEMO_TOKEN="nmv_usr_secret_one")
    registered = accounts()[1]
    assert admitted().id == registered.id
    assert b"nmv_usr_secret_one" not in (registered.token_encrypted or b"")
    assert vault.unlock(registered.token_encrypted or b"") == "nmv_usr_secret_one"


def test_a_new_token_in_the_settings_replaces_the_old_one_and_what_was_known_of_it():
    """Same account, so renders under way go on; its pause, balance and refusal were the old token's."""
    install(NEMO_TOKEN="nmv_usr_old")
    (old,) = accounts()
    transact(lambda s: pauses.pause(s, old.id, Reason.CREDITS, timedelta(hours=1)))
    balance = {"available": 1, "frozen": 0, "total": 1, "version": old.token_version, "asked_at": now()}
    assert transact(lambda s: store.keep_balance(s, old.id, **balance))
    transact(lambda s: store.refuse_token(s, old.id, old.token_version))
    assert isinstance(admitted(), NotAdmitted)
    install(NEMO_TOKEN="nmv_usr_new")
    (new,) = accounts()
    assert (new.id, new.token_version) == (old.id, old.token_version + 1)
    assert (new.paused_until, new.balance_total, new.token_refused_at) == (None, None, None)
    assert vault.unlock(new.token_encrypted or b"") == "nmv_usr_new"


def test_a_refusal_of_an_older_token_leaves_the_newer_one():
    """A late 1001 for version 1 does not throw away version 2."""
    install()
    (account,) = accounts()
    keep = {"token": "nmv_usr_2", "expires_at": None, "credits": 100.0, "user_id": "u"}
    transact(lambda s: store.keep_token(s, account.id, 0, **keep))
    transact(lambda s: store.refuse_token(s, account.id, 0))
    assert accounts()[0].token_refused_at is None
    transact(lambda s: store.refuse_token(s, account.id, 1))
    assert accounts()[0].token_refused_at is not None


def test_of_fifty_renewals_at_once_one_is_made():
    """The others are told to wait."""
    install()
    (account,) = accounts()
    gate, won = threading.Barrier(50), []

    def renew() -> None:
        gate.wait()
        if transact(lambda s: store.begin_renewal(s, account.id, 0)):
            won.append(1)

    threads = [threading.Thread(target=renew) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_renewal_whose_worker_died_holds_others_back_for_a_call_only():
    """While a call may last the next one waits, after it the next one renews."""
    install()
    (account,) = accounts()

    def renews() -> bool:
        return transact(lambda session: store.begin_renewal(session, account.id, 0))

    assert (renews(), renews()) == (True, False)
    longest = settings().waits.call_longest + timedelta(seconds=1)
    transact(lambda session: session.execute(update(Account).values(renewing_until=Account.renewing_until - longest)))
    assert renews()


def test_two_cannot_take_the_last_slot():
    """Thirty renders ask at once for two slots: two get one, the others wait for a slot."""
    install(NEMO_TOKEN="nmv_usr_slots")
    got = admitted_at_once(slots=2)
    refused = [one for one in got if isinstance(one, NotAdmitted)]
    assert len(refused) == 28
    assert {one.reason for one in refused} == {Reason.SLOT}
    assert (open_places(2), open_places(5), open_places(0)) == (0, 3, None)


def test_a_paused_account_takes_nothing_and_its_longer_pause_stays():
    """The dispatcher starts nothing new either; a shorter pause neither shortens it nor renames it."""
    install()
    (account,) = accounts()
    transact(lambda s: pauses.pause(s, account.id, Reason.CREDITS, timedelta(hours=1)))
    transact(lambda s: pauses.pause(s, account.id, Reason.RATE_LIMIT, timedelta(seconds=1)))
    refusal = admitted()
    assert isinstance(refusal, NotAdmitted)
    assert (refusal.reason, open_places()) == (Reason.CREDITS, 0)


def test_an_idle_trial_beside_a_paused_registered_account_opens_nothing():
    """What the dispatcher counts is what admission would take."""
    install()
    install(NEMO_TOKEN="nmv_usr_paused")
    transact(lambda s: pauses.pause(s, accounts()[1].id, Reason.CREDITS, timedelta(hours=1)))
    assert open_places() == 0


@pytest.mark.parametrize("secret", ["", "too short"])
def test_without_a_secret_key_a_token_is_not_taken(secret: str):
    """The message names the setting."""
    with pytest.raises(vault.SecretKeyMissing, match="VIVIDEO_SECRET_KEY"):
        install(NEMO_TOKEN="nmv_usr_x", VIVIDEO_SECRET_KEY=secret)
