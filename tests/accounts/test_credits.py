"""Credits: reserved at admission, never so that nobody could go on; a balance that returns wakes who waits for it."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.accounts.conftest import accounts, admitted, admitted_at_once, install, now, open_places
from tests.renders.conftest import a_render, the
from worker import housekeeping
from worker.accounts import admission, pauses, registry, store
from worker.accounts.admission import NotAdmitted
from worker.accounts.models import Account, RemoteSession
from worker.database import from_now, new_id, transact
from worker.owners.store import owner
from worker.remote.intents import ABOUT_A_CLIP, Intent, IntentState
from worker.remote.models import Balance
from worker.renders.models import Render
from worker.renders.states import Reason, Stage, Status


@pytest.fixture
def account() -> Account:
    """A registered account without limits."""
    install(NEMO_TOKEN="nmv_usr_credits")
    return accounts()[0]


def balance(account: Account, available: float, *, age: timedelta = timedelta(0)) -> None:
    """The account's balance, read so long ago."""
    facts = {"available": available, "frozen": 0.0, "total": available, "asked_at": now() - age}
    facts["version"] = account.token_version
    transact(lambda session: store.keep_balance(session, account.id, **facts))


def under_way(account: Account, stage: Stage = Stage.SESSION) -> str:
    """A render that the account has taken on."""
    return a_render(account_id=account.id, stage=stage.value, started_at=from_now(timedelta(0)))


def message(account: Account, render_id: str, state: IntentState) -> None:
    """A paid message of it, begun now."""
    settled = None if state in (IntentState.OPEN, IntentState.UNKNOWN, IntentState.RECEIVED) else now()
    row = the(render_id)
    session_id = new_id("ses")
    remote = RemoteSession(
        id=session_id, owner_id=row.owner_id, account_id=account.id, task_id="t", session_id=session_id
    )
    intent = Intent(
        id=new_id("int"),
        owner_id=row.owner_id,
        render_id=render_id,
        run=1,
        account_id=account.id,
        remote_session_id=session_id,
        message="a lamp",
        before="x",
        reserved_credits=ABOUT_A_CLIP,
        send_by=now(),
        state=state.value,
        settled_at=settled,
    )

    def write(session):
        session.add(remote)
        session.flush()
        session.add(intent)

    transact(write)


def reserved(account: Account) -> float:
    return transact(lambda session: admission.reserved_by_account(session, [account.id])).get(account.id, 0.0)


def reason() -> Reason | None:
    """Why a render is not admitted; None where it is."""
    found = admitted()
    return found.reason if isinstance(found, NotAdmitted) else None


def test_what_was_sent_and_what_is_to_come_is_reserved(account: Account):
    """Messages newer than the balance that may cost something, and renders that have theirs to send; each once."""
    balance(account, 1000)
    for state in IntentState:
        message(account, under_way(account, Stage.GENERATE), state)
    # Seven renders at GENERATE have a settled message, so another of theirs is to come; three have one that is not.
    open_ones = {IntentState.OPEN, IntentState.UNKNOWN, IntentState.RECEIVED}
    settled = len(IntentState) - len(open_ones)
    spent = len(open_ones) + len({IntentState.APPLIED, IntentState.UNCONFIRMED})
    assert reserved(account) == (settled + spent) * ABOUT_A_CLIP
    under_way(account, Stage.TOKEN)
    under_way(account, Stage.EXPORT)
    assert reserved(account) == (settled + spent + 1) * ABOUT_A_CLIP
    balance(account, 1000)  # a newer balance shows what the messages cost
    assert reserved(account) == (settled + 1) * ABOUT_A_CLIP


def test_a_render_waits_rather_than_bounce(account: Account):
    """A balance of 250 takes two; the third waits for credits, and the dispatcher starts no more than that."""
    balance(account, 250)
    for left in (2, 1):
        assert (reason(), open_places()) == (None, left)
        under_way(account)
    assert (reason(), open_places()) == (Reason.CREDITS, 0)


def test_with_nothing_reserved_one_is_always_let_try(account: Account):
    """The backend is the judge: a balance of nothing admits one, and only one."""
    balance(account, 0)
    assert (reason(), open_places()) == (None, 1)
    under_way(account)
    assert (reason(), open_places()) == (Reason.CREDITS, 0)


def test_a_balance_that_is_old_or_was_never_read_holds_nobody_back(account: Account):
    """It could not be read for longer than it tells anything."""
    under_way(account)
    assert (reason(), open_places()) == (None, None)
    balance(account, 0, age=admission.BALANCE_TELLS_FOR + timedelta(seconds=5))
    assert (reason(), open_places()) == (None, None)
    balance(account, 0, age=admission.BALANCE_TELLS_FOR - timedelta(seconds=30))
    assert (reason(), open_places()) == (Reason.CREDITS, 0)


def test_slots_and_credits_both_count(account: Account):
    """The lower of both is what the dispatcher starts."""
    balance(account, 500)
    assert (open_places(3), open_places(9)) == (3, 5)


def test_of_renders_that_ask_at_once_the_balance_admits_what_it_covers(account: Account):
    """Thirty threads, a balance for four: the row's lock lets each see what the one before took."""
    balance(account, 4 * ABOUT_A_CLIP)
    got = admitted_at_once(slots=0)
    assert sum(isinstance(one, Account) for one in got) == 4


def test_an_account_of_one_owner_serves_that_owner_alone(account: Account):
    """Also while it stands idle; and the trial, if there is one, serves those who have no other."""
    mine = transact(lambda session: owner(session, "mine").id)
    transact(lambda session: session.execute(update(Account).values(owner_id=mine)))
    assert isinstance(admitted(owner_name="mine"), Account)
    assert isinstance(admitted(owner_name="theirs"), NotAdmitted)
    transact(lambda session: session.add(Account(id="acc_trial", kind="anonymous", name="t", client_id="c")))
    assert admitted(owner_name="theirs").id == "acc_trial"
    assert admitted(owner_name="mine").id == account.id
    transact(lambda session: pauses.pause(session, account.id, Reason.CREDITS, timedelta(hours=1)))
    assert open_places() is None  # the trial still takes renders of others


def waiting_for_credits(account: Account, count: int) -> list[str]:
    wait = {"status": Status.WAITING.value, "reason": "credits", "ready_at": from_now(timedelta(hours=1))}
    started = from_now(timedelta(0))
    ids = [a_render(account_id=account.id, stage="generate", started_at=started, **wait) for _ in range(count)]
    transact(lambda session: pauses.pause(session, account.id, Reason.CREDITS, timedelta(hours=1)))
    return ids


def read(account: Account, available: float) -> int:
    """Housekeeping reads this balance; how many renders it wakes."""
    told = Balance(available=available, frozen=0, total=available)
    return transact(lambda session: housekeeping.keep(session, account, told, now()))


def soon(render: Render) -> bool:
    return render.ready_at < now() + timedelta(seconds=10)


def test_a_balance_that_returns_ends_the_pause_and_wakes_who_it_covers(account: Account):
    """Two of three become due within seconds, oldest first; a balance below a clip wakes nobody."""
    ids = waiting_for_credits(account, 3)
    assert (read(account, ABOUT_A_CLIP - 1), accounts()[0].pause_reason) == (0, "credits")
    assert read(account, 2 * ABOUT_A_CLIP + 1) == 2
    assert (accounts()[0].paused_until, accounts()[0].pause_reason) == (None, None)
    assert [soon(the(one)) for one in ids] == [True, True, False]


def test_a_balance_from_before_the_last_message_ends_no_pause(account: Account):
    """It was asked for, then a message took what it showed: the reading says nothing of what is left."""
    waiting_for_credits(account, 1)
    asked_at = now()
    message(account, under_way(account, Stage.VERIFY), IntentState.RECEIVED)
    told = Balance(available=ABOUT_A_CLIP, frozen=0, total=ABOUT_A_CLIP)
    assert transact(lambda session: housekeeping.keep(session, account, told, asked_at)) == 0
    assert accounts()[0].pause_reason == "credits"


def test_a_balance_read_with_another_token_is_not_the_new_ones(account: Account):
    """A token was put in its place between the call and its answer: what was read says nothing of the new one, and ends
    no pause of its."""
    before, asked_at = accounts()[0], now()
    transact(lambda session: registry.replace(session, registry.named(session, account.id)[0], "nmv_usr_next"))
    waiting_for_credits(account, 1)
    told = Balance(available=1000, frozen=0, total=1000)
    assert transact(lambda session: housekeeping.keep(session, before, told, asked_at)) == 0
    after = accounts()[0]
    assert (after.balance_available, after.balance_read_at, after.pause_reason) == (None, None, "credits")


def test_a_balance_asked_for_earlier_does_not_replace_a_later_one(account: Account):
    """Answers overtake each other: the older one would show messages as still to be paid, and end a pause for it."""
    early, late = now(), now()
    few, many = (Balance(available=credits, frozen=0, total=credits) for credits in (1, 1000))
    waiting_for_credits(account, 1)
    assert transact(lambda session: housekeeping.keep(session, account, few, late)) == 0
    assert transact(lambda session: housekeeping.keep(session, account, many, early)) == 0
    after = accounts()[0]
    assert (after.balance_available, after.balance_read_at, after.pause_reason) == (1, late, "credits")


def test_a_pause_for_a_rate_limit_is_not_the_balances_to_end(account: Account):
    """A full account that asked too often waits all the same."""
    transact(lambda session: pauses.pause(session, account.id, Reason.RATE_LIMIT, timedelta(hours=1)))
    assert read(account, 1000) == 0
    assert accounts()[0].pause_reason == "rate_limit"
