"""What a stage's refused call means for its render: the one place that maps the client's errors to outcomes."""

import random
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.orm import Session

from config.logging import get
from worker import failures
from worker.accounts import pauses, tokens
from worker.database import at_once, transact
from worker.job import Job
from worker.outcomes import Advance, Failed, Fault, Outcome, Wait
from worker.remote import errors, intents
from worker.renders import leases
from worker.renders.events import EventType, NewEvent
from worker.renders.queue import BEFORE_STREAM_ENDS
from worker.renders.runs import unsent
from worker.renders.states import Reason, Stage
from worker.sessions import place
from worker.sessions.place import Place

MOST_UNINTELLIGIBLE = 5
"""Answers of no known shape in a row: a proxy's error page passes, a changed backend does not."""

MOST_SESSIONS = 10
"""A backend that restarts loses a session or two; one that loses ten of a render in a row loses the next one too."""

log = get(__name__)


def outcome(job: Job, error: errors.RemoteError) -> Outcome:
    """What to do about it."""
    match error:
        case errors.TokenGone():
            return _token_gone(job, error)
        case errors.RateLimited():
            return _rate_limited(job, error)
        case errors.SessionGone():
            return _session_gone(job)
        case errors.AccountGone():
            return _account_gone(job)
        case errors.NeedsCredits():
            return _wait_for_money(job, Reason.CREDITS, job.waits.credits_seconds, error)
        case errors.NeedsSubscription():
            return _wait_for_money(job, Reason.SUBSCRIPTION, job.waits.subscription_seconds, error)
        case errors.UnsupportedFile():
            return Failed(failure=failures.ASSET_UNSUPPORTED, detail=error.detail)
        case errors.FileTooLarge():
            return Failed(failure=failures.ASSET_TOO_LARGE, detail=error.detail)
        case errors.AssetUnreachable():
            return Failed(failure=failures.ASSET_UNREACHABLE, detail=error.detail)
        case errors.ClientIdMissing():
            # A new one was put on file; a backend that refuses that one too is given up like any fault.
            return Fault(failure=failures.BACKEND_REJECTED, detail=str(error))
        case errors.Unintelligible():
            return Fault(failure=failures.BACKEND_UNINTELLIGIBLE, detail=str(error), most=MOST_UNINTELLIGIBLE)
        case errors.TryAgain():
            return Fault(failure=failures.BACKEND_UNAVAILABLE, detail=str(error))
        case _:
            return Failed(failure=failures.BACKEND_REJECTED, detail=str(error))


def passing(job: Job, error: errors.RemoteError) -> Outcome | None:
    """What else to write for a refusal told on a message's stream before the message is sent again in a new session,
    which then waits as the account does; None where the reason is not one that passes."""
    match error:
        case errors.NeedsCredits():
            return _wait_for_money(job, Reason.CREDITS, job.waits.credits_seconds, error)
        case errors.RateLimited():
            return Outcome(also=(_pause(job, Reason.RATE_LIMIT, job.waits.rate_limit_seconds),))
        case errors.TokenGone() if job.render.sessions < MOST_SESSIONS:
            # The state was read with the token on file now: that one is good, or is being renewed.
            return Outcome()
        case _:
            return None


def _pause(job: Job, reason: Reason, wait: timedelta) -> Callable[[Session], None]:
    """A step of the outcome's transaction: the account takes nothing new and sends nothing meanwhile."""

    def step(session: Session) -> None:
        if job.account is not None:
            pauses.pause(session, job.account.id, reason, wait)

    return step


def _token_gone(job: Job, error: errors.RemoteError) -> Outcome:
    """The token on file is refused: renewed at the next try, which for a registered one waits for its owner."""
    account = job.account
    if account is not None:
        tokens.refused(account)
    return Fault(failure=failures.BACKEND_REJECTED, detail=str(error), reason=Reason.TOKEN)


def _rate_limited(job: Job, error: errors.RateLimited) -> Outcome:
    """30 s or what the backend says, one repetition, then longer and longer. What comes after the message is no reason
    to hold other renders' messages back: it waits for itself."""
    first = timedelta(seconds=error.retry_after) if error.retry_after else job.waits.rate_limit_seconds
    account = job.account
    if account is not None and Stage(job.render.stage) in BEFORE_STREAM_ENDS:
        stands = transact(lambda session: pauses.rate_limited(session, account.id, first, asked_at=job.held.at))
        log.info("account.paused", account=account.id, reason="rate_limit", seconds=round(stands.total_seconds(), 1))
        return Wait(reason=Reason.RATE_LIMIT, wait=_behind_the_others(stands))
    longest = max(pauses.LONGEST_RATE_LIMIT, first)
    wait = min(first * 2 ** min(job.render.tries, 10), longest)
    return Wait(reason=Reason.RATE_LIMIT, wait=wait, changes={"tries": job.render.tries + 1})


def _behind_the_others(wait: timedelta) -> timedelta:
    """The account's others come back first: a render that is refused on its own must not pause them again and again."""
    return wait * random.uniform(1.2, 1.5)  # noqa: S311 - jitter, not a secret


def _session_gone(job: Job) -> Outcome:
    """Before anything paid may have been received, the remote work starts again in a new session; after it, nothing is
    started again by itself: that would be paid again."""
    heard = _heard_in_session(job)
    lost = (_mark_lost(job, heard=heard),)
    paid = at_once(
        lambda session: intents.count(session, job.render.id, job.render.run, *intents.MAY_HAVE_BEEN_RECEIVED)
    )
    before_message = (
        Stage(job.render.stage) in (Stage.UPLOAD, Stage.GENERATE) and not _in_this_session(job, paid) and not heard
    )
    if before_message and job.render.sessions < MOST_SESSIONS:
        return Advance(
            to=Stage.SESSION,
            wait=job.waits.retry_first_seconds * (job.render.sessions - 1),
            changes={"remote_session_id": None, "assets": unsent(job.render.assets)},
            also=(*lost, _tell_of_files_left_behind(job)),
        )
    return Failed(failure=failures.SESSION_LOST, also=(*lost, _give_up_message(job)))


def _tell_of_files_left_behind(job: Job) -> Callable[[Session], None]:
    """Its own files are sent again; those of earlier turns that came to nothing are not, which their owner is told."""

    def step(session: Session) -> None:
        left = job.render.remote_session_id
        if job.render.session_id is not None and left is not None:
            _tell_of_files_in(session, job, left)

    return step


def _tell_of_files_in(session: Session, job: Job, left: str) -> None:
    if place.holds_files_of_others(session, job.render, left):
        text = "The place where the files of earlier messages were is gone: give those again that this one needs."
        hint = {"code": "session.files", "message": text}
        others = [entry for entry in job.render.hints if entry.get("code") != hint["code"]]
        leases.write(session, job.held, {"hints": [*others, hint]}, [NewEvent(EventType.HINT, hint)])


def place_with_its_account(session: Session, job: Job, session_id: str) -> Place:
    """The place of the render's session, as far as its account is still in use; of files that stay behind their owner
    is told."""
    leases.lock(session, job.held)  # before the session's row
    before = place.of(session, session_id).remote_session_id
    now = place.with_its_account(session, session_id)
    if before is not None and now.remote_session_id is None:
        _tell_of_files_in(session, job, before)
    return now


def _account_gone(job: Job) -> Failed:
    """Of a session: its place is lost or left with the account, and nobody can be asked after a message any more."""

    def step(session: Session) -> None:
        assert job.render.session_id is not None, "others wait for their token"
        place_with_its_account(session, job, job.render.session_id)

    return Failed(failure=failures.SESSION_LOST, detail="its account was removed", also=(step, _give_up_message(job)))


def _heard_in_session(job: Job) -> bool:
    """Whether anything may have been said before in the place that the render shares with others of its session."""
    remote_session_id = job.render.remote_session_id
    if job.render.session_id is None or remote_session_id is None:
        return False
    return at_once(lambda session: place.was_heard(session, remote_session_id))


def _in_this_session(job: Job, paid: int) -> bool:
    """A message of this session may have been received. One of an earlier session (a new attempt) does not count."""
    if not paid:
        return False
    last = at_once(lambda session: intents.latest(session, job.render.id, job.render.run))
    return (
        last is not None
        and last.remote_session_id == job.render.remote_session_id
        and last.state not in (intents.IntentState.UNSENT, intents.IntentState.REFUSED)
    )


def _mark_lost(job: Job, *, heard: bool) -> Callable[[Session], None]:
    """The place is gone: for the session whose turns happened there for good, once something was `heard` in it."""

    def step(session: Session) -> None:
        if (gone := job.render.remote_session_id) is None:
            return
        if job.render.session_id is not None:
            (place.lose if heard else place.leave)(session, gone)
        place.mark_lost(session, gone)

    return step


def _give_up_message(job: Job) -> Callable[[Session], None]:
    """With the session gone, nothing can tell any more whether an unsettled message was carried out."""

    def step(session: Session) -> None:
        open_one = intents.unsettled(session, job.render.id, job.render.run)
        if open_one is not None:
            # There is nothing left to read, so nothing to watch.
            intents.record(session, open_one.id, intents.IntentState.UNCONFIRMED, cause="session lost", watch_at=None)

    return step


def _wait_for_money(job: Job, reason: Reason, wait: timedelta, error: errors.RemoteError) -> Outcome:
    hint = _money_hint(job, reason, error)
    known = [entry for entry in job.render.hints if entry.get("code") != hint["code"]]
    events = () if len(known) < len(job.render.hints) else (NewEvent(EventType.HINT, hint),)
    # Without credits the whole account stands still; a subscription concerns exports alone.
    also = (_pause(job, reason, wait),) if reason is Reason.CREDITS else ()
    held = _behind_the_others(wait) if also else wait
    return Wait(reason=reason, wait=held, changes={"hints": [*known, hint]}, events=events, also=also)


def _money_hint(job: Job, reason: Reason, error: errors.RemoteError) -> dict[str, str]:
    web = job.services.settings.upstream.web_url.rstrip("/")
    if reason is Reason.SUBSCRIPTION:
        text = f"Exports need a subscription (this is not about credits): {web}"
    elif job.account is not None and job.account.kind == "anonymous":
        bind = error.bind_id or (job.remote_session.bind_id if job.remote_session else None)
        text = f"The trial's credits are spent. Register to go on: {web}/register" + (f"?bind={bind}" if bind else "")
    else:
        text = f"The account's credits are spent. Top up to go on: {web}"
    return {"code": f"account.{reason.value}", "message": text}
