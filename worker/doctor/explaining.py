"""What a refusal of the backend means to the person who set it up."""

from worker.doctor.findings import Finding, Level
from worker.remote.errors import (
    ClientIdMissing,
    NeedsCredits,
    NeedsSubscription,
    RateLimited,
    RemoteError,
    SessionGone,
    TokenGone,
    TryAgain,
    Unintelligible,
)


def explain(check: str, error: RemoteError, *, trial: bool) -> Finding:
    """The finding; a lack of credits or of a plan is no fault of the installation."""
    passing = isinstance(error, NeedsCredits | NeedsSubscription | RateLimited)
    return Finding(check, Level.WARN if passing else Level.FAIL, str(error), _remedy(error, trial=trial))


def _remedy(error: RemoteError, *, trial: bool) -> str:
    match error:
        case TokenGone() if trial:
            return "the next render gets a new one with the same client id; look again after it"
        case TokenGone():
            return "set NEMO_TOKEN to a token that is valid and run `python -m worker.migrations` (or restart `up`)"
        case NeedsCredits():
            return "register the trial, its renders show the link" if trial else "top up the account"
        case NeedsSubscription():
            return "the account's plan does not allow this: see its subscription"
        case RateLimited():
            wait = f"{error.retry_after:.0f} s" if error.retry_after else "a while"
            return f"wait {wait}; one anonymous token per client is given in 7 days"
        case ClientIdMissing():
            return (
                "the client id is not accepted: set NEMO_CLIENT_ID to a UUID (an account keeps the one it began with)"
            )
        case SessionGone():
            return "a session that was made just now is not found: the backend loses sessions, tell its operators"
        case Unintelligible():
            return "this version cannot read it: keep a record (--record) and send it to vivideo's maintainers"
        case TryAgain() if error.status is None:
            return "the backend did not answer in time or broke off: look at the network, then again"
        case TryAgain():
            return "the backend has a fault of its own: look again later"
        case _:
            return "the backend understood and refused: keep a record (--record) and send it to vivideo's maintainers"
