"""The bearer token of an account: from the file, or renewed by exactly one worker while the others wait.

An anonymous token is got again with the same client id; a registered one is its owner's to renew.
"""

import random
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from config.logging import get
from config.settings import settings
from worker.accounts import pauses, store, vault
from worker.accounts.models import Account
from worker.accounts.vault import SecretKeyChanged, SecretKeyMissing
from worker.database import transact
from worker.remote.client import Remote
from worker.remote.errors import ClientIdMissing, RateLimited, RemoteError
from worker.renders.states import Reason

log = get(__name__)

OTHERS_RENEWAL = timedelta(seconds=0.5)
"""How soon to look again while another worker renews: a token call takes a fraction of a second."""

OWNERS_RENEWAL = timedelta(seconds=60)
"""How soon to look again for a registered token that its owner has to replace."""


class NotNow(Exception):
    """There is no token at the moment: look again after `wait`, for `reason` if the outside should know."""

    def __init__(self, wait: timedelta, reason: Reason | None) -> None:
        super().__init__(f"no token for {wait}")
        self.wait = wait
        self.reason = reason


class Unreadable(NotNow):
    """The token on file cannot be read: it waits for its owner, who gives it anew, or the secret key it was encrypted
    with."""

    def __init__(self, cause: SecretKeyMissing | SecretKeyChanged) -> None:
        super().__init__(OWNERS_RENEWAL, Reason.TOKEN)
        self.cause = cause


def bearer(remote: Remote, account: Account, at: datetime) -> str:
    """The token to use at `at` (the database's time).

    Raises:
        NotNow: another worker is renewing it, or its owner has to.
        RemoteError: the backend did not give a new one.
        vault.SecretKeyMissing, vault.SecretKeyChanged: the trial's token cannot be read, or a new one not be kept.
    """
    if account.kind == "registered":
        return _registered(account, at)
    if store.token_is_good(account, at):
        assert account.token_encrypted is not None, "a good token is on file"
        return vault.unlock(account.token_encrypted)
    if account.paused_until is not None and account.paused_until > at and account.pause_reason == Reason.RATE_LIMIT:
        raise NotNow(account.paused_until - at, Reason.RATE_LIMIT)  # it may have been the token call that was refused
    vault.prove()
    if not transact(lambda session: store.begin_renewal(session, account.id, account.token_version)):
        raise NotNow(OTHERS_RENEWAL * random.uniform(1.0, 4.0), None)  # noqa: S311 - jitter, not a secret
    return _renew(remote, account)


def _registered(account: Account, at: datetime) -> str:
    if account.token_encrypted is None:
        raise NotNow(OWNERS_RENEWAL, Reason.TOKEN)
    try:
        token = vault.unlock(account.token_encrypted)  # a refused one too: why it stands still should be heard
    except (SecretKeyMissing, SecretKeyChanged) as error:
        log.warning("account.unreadable", account=account.id, error=str(error))
        raise Unreadable(error) from error
    if not store.token_is_good(account, at):
        raise NotNow(OWNERS_RENEWAL, Reason.TOKEN)
    return token


def refused(account: Account) -> None:
    """The backend refused the token on file (1001): the next `bearer` renews it, or waits for its owner."""
    transact(lambda session: store.refuse_token(session, account.id, account.token_version))


def _renewal_refused(session: Session, account: Account, error: RemoteError) -> None:
    """The next one may try; after a 429 only once the account's pause is over, whoever met it."""
    store.end_renewal(session, account.id)
    if isinstance(error, RateLimited):
        wait = timedelta(seconds=error.retry_after) if error.retry_after else settings().waits.rate_limit_seconds
        pauses.pause(session, account.id, Reason.RATE_LIMIT, wait)


def _renew(remote: Remote, account: Account) -> str:
    assert account.client_id is not None, "an anonymous account has one, a constraint says so"
    try:
        fresh = remote.anonymous_token(account.client_id)
    except RemoteError as error:
        transact(lambda session, told=error: _renewal_refused(session, account, told))
        if isinstance(error, ClientIdMissing):
            transact(lambda session: store.keep_client_id(session, account.id))
        raise
    transact(
        lambda session: store.keep_token(
            session,
            account.id,
            account.token_version,
            token=fresh.token,
            expires_at=fresh.expires_at,
            credits=fresh.credits,
            user_id=fresh.user_id,
        )
    )
    log.info("account.renewed", account=account.id)
    return fresh.token
