"""What the dispatcher has done beside renders, at each tick: a piece of each, in a transaction of its own.

A fault in one keeps neither the renders nor the others waiting: it is left alone for a while.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from config.logging import get
from worker.database import contended, ended, retryable
from worker.publishing import chores as publications
from worker.triggers import holding
from worker.webhooks import chores as webhooks

log = get(__name__)

PASSED_OVER_SECONDS = 30.0
"""For which a chore is left alone that failed by a fault of ours."""
TOO_LONG_SECONDS = 5.0
"""As long as its statement had, where that was ended: it does less the next time (`worker.portions`)."""


@dataclass
class Chore:
    """`run` does a piece and says whether there is more at once. It opens its own transactions, by
    `worker.database.in_passing`: they do not retry, and wait a second at most for a lock that somebody else has."""

    name: str
    run: Callable[[], bool]
    left_alone_until: float = field(default=0.0)


def do(chores: Sequence[Chore]) -> bool:
    """A piece of each; whether any has more to do at once. Raises DBAPIError where the database is away,
    PoolTimeout where no connection is free."""
    more = [_do(chore) for chore in chores]
    return any(more)


def _do(chore: Chore) -> bool:
    if time.monotonic() < chore.left_alone_until:
        return False
    try:
        return chore.run()
    except PoolTimeout:
        raise
    except DBAPIError as error:
        if contended(error):
            log.info("chore.contended", chore=chore.name)
            return False
        if ended(error):
            log.warning("chore.too_long", chore=chore.name)
            chore.left_alone_until = time.monotonic() + TOO_LONG_SECONDS
            return False
        if retryable(error):
            raise
        log.exception("chore.fault", chore=chore.name)
    except Exception:  # a bug in one must not end what renders wait for
        log.exception("chore.fault", chore=chore.name)
    chore.left_alone_until = time.monotonic() + PASSED_OVER_SECONDS
    return False


def usual() -> list[Chore]:
    """Those of the dispatcher."""
    return [
        Chore("webhooks.make", webhooks.make),
        Chore("webhooks.send_again", webhooks.send_again),
        Chore("webhooks.hand_out", webhooks.hand_out),
        Chore("triggers", holding.go_on),
        Chore("publications.make", publications.make),
        Chore("publications.hand_out", publications.hand_out),
    ]
