"""What beat asks for once a minute: balances, retention. Twice does no harm."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.logging import get
from config.settings import settings
from worker.accounts import admission, pauses
from worker.accounts import store as accounts
from worker.accounts.models import Account
from worker.accounts.tokens import NotNow, Unreadable, bearer, refused
from worker.accounts.vault import SecretKeyChanged
from worker.database import ago, transact
from worker.media.storage import open_storage
from worker.owners.models import IdempotencyKey
from worker.publishing import retention as publications
from worker.remote import circuit
from worker.remote.circuit import Breaker
from worker.remote.client import Remote
from worker.remote.errors import RemoteError, TokenGone
from worker.remote.intents import ABOUT_A_CLIP
from worker.remote.models import Balance
from worker.renders import purge, uploads
from worker.renders.models import Render, Upload, Worker
from worker.triggers import removal, shedding
from worker.triggers import store as triggers
from worker.webhooks import retention

log = get(__name__)

KEYS_KEPT = timedelta(days=30)
WORKERS_KEPT = timedelta(days=7)


def run() -> None:
    """One round."""
    breaker = circuit.breaker()
    remote = Remote.from_settings(settings(), pulse=breaker)
    for account in transact(_with_token):
        try:
            _read_balance(remote, account, breaker)
        except SQLAlchemyError:
            raise  # no fault of this account's: the others would only wait for the database as well
        except Exception:  # whatever one account brings, the others' balances and all that follows go on
            log.exception("balance.fault", account=account.id)
        finally:
            breaker.leave()
    transact(_forget)
    _forget_messages()
    while transact(retention.forget) >= retention.AT_ONCE:
        pass
    while transact(retention.remove):
        pass
    while transact(publications.forget) >= publications.AT_ONCE:
        pass
    _expire_uploads()
    _clear_files()


def _with_token(session: Session) -> list[Account]:
    return list(
        session.scalars(select(Account).where(Account.disabled_at.is_(None), Account.token_encrypted.is_not(None)))
    )


def _read_balance(remote: Remote, account: Account, breaker: Breaker) -> None:
    asked_at, opened = transact(lambda session: (_now(session), circuit.standing(session)))
    try:
        breaker.enter(opened.open_until if opened else None, asked_at)
        balance = remote.credits(bearer(remote, account, asked_at))
    except (RemoteError, NotNow) as error:
        log.info("balance.unread", account=account.id, error=str(error))
        if isinstance(error, TokenGone) or _has_another_key(account, error):
            refused(account)
        return
    woken = transact(lambda session: keep(session, account, balance, asked_at))
    if woken:
        log.info("account.resumed", account=account.id, renders=woken)


def _has_another_key(account: Account, error: Exception) -> bool:
    """A token encrypted with another key counts as refused, so that nothing new begins on it; one that this process has
    no key for at all does not: others have it."""
    other_key = isinstance(error, Unreadable) and isinstance(error.cause, SecretKeyChanged)
    return other_key and account.token_refused_at is None


def keep(session: Session, account: Account, balance: Balance, asked_at: datetime) -> int:
    """Note the balance, unless the account's token is another one by now, or a later balance is on file. A pause for
    credits ends where it covers a message again; how many renders were woken."""
    total = balance.total if balance.total is not None else balance.available + balance.frozen
    facts = {"available": balance.available, "frozen": balance.frozen, "total": total}
    if not accounts.keep_balance(session, account.id, version=account.token_version, **facts, asked_at=asked_at):
        return 0
    spent = admission.spent_since_reading(session, [account.id]).get(account.id, 0.0)
    covered = int((balance.available - spent) // ABOUT_A_CLIP)
    return pauses.end_for_credits(session, account.id, covered) if covered > 0 else 0


def _now(session: Session) -> datetime:
    return session.execute(select(func.now())).scalar_one()


def _forget(session: Session) -> None:
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < ago(KEYS_KEPT)))
    session.execute(
        delete(Worker).where(
            or_(Worker.stopped_at < ago(WORKERS_KEPT), Worker.seen_at < ago(WORKERS_KEPT)),
            ~select(Render.id).where(Render.worker_id == Worker.id).exists(),
        )
    )
    triggers.forget_things(session)


def _forget_messages() -> None:
    """Those of shops, a piece of them in each transaction."""
    while transact(triggers.forget) == triggers.FORGOTTEN_AT_ONCE:
        pass
    while transact(removal.remove):
        pass
    while transact(shedding.shed):
        pass


def _expire_uploads() -> None:
    """Those that no render used, a few hundred a round."""
    expired = select(Upload.id).where(Upload.used_at.is_(None), Upload.created_at < ago(uploads.KEPT)).limit(500)
    for upload_id in transact(lambda session: session.scalars(expired).all()):
        transact(lambda session, gone=upload_id: uploads.expire(session, gone))


def _clear_files() -> None:
    storage = open_storage(settings().servers.storage)
    storage.sweep()
    while purge.clear(storage) == purge.AT_ONCE:
        log.info("files.cleared", files=purge.AT_ONCE)
