"""One publication's way: claimed, driven step by step, each step's outcome committed before the next, let go or ended.

Whatever dies in between, the next worker goes on from the last step on file, and that step asks the shop first.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from config.logging import get
from worker.accounts.vault import SecretKeyChanged, SecretKeyMissing
from worker.addresses.fetch import Guarded
from worker.database import retryable, transact
from worker.media.storage import Storage, StorageError
from worker.metrics.declared import PUBLISH_SECONDS
from worker.publishing import claims, http_target, outcomes, publishers, shopify, woocommerce
from worker.publishing.claims import Held, LeaseLost
from worker.publishing.errors import REFUSED, Again, Crowded, GivenUp, PublishError
from worker.publishing.job import Job, Later, Next, Outcome, Published, Steps
from worker.publishing.models import Publication, Publisher, PublisherKind

log = get(__name__)

STEPS: Mapping[PublisherKind, Steps] = {
    PublisherKind.SHOPIFY: shopify.STEPS,
    PublisherKind.WOOCOMMERCE: woocommerce.STEPS,
    PublisherKind.HTTP: http_target.STEPS,
}
CHECKS = {
    PublisherKind.SHOPIFY: shopify.check,
    PublisherKind.WOOCOMMERCE: woocommerce.check,
    PublisherKind.HTTP: http_target.check,
}


@dataclass(frozen=True)
class Tools:
    """What a publication is worked on with."""

    storage: Storage
    fetch: Guarded = field(default_factory=Guarded)


def drive(publication_id: str, lease: int, tools: Tools) -> None:
    """Claim a publication and take it as far as it goes now. Not there to be claimed: somebody else was quicker."""
    held = transact(lambda session: claims.claim(session, publication_id, lease=lease))
    if held is None:
        log.debug("claim.missed", publication=publication_id, lease=lease)
        return
    began = time.monotonic()
    try:
        outcome = _worked(held, tools)
    except LeaseLost:
        log.warning("lease.lost", publication=publication_id)
        return
    PUBLISH_SECONDS.labels(held.publisher.kind, outcome).observe(time.monotonic() - began)


def check(publisher: Publisher, tools: Tools) -> str:
    """Prove a publisher's credentials by a call that changes nothing; what the shop calls itself. Raises
    PublishError."""
    row = Publication(id="", render_id="", ref="", product={})
    job = _job(Held(row, publisher, 0, None, None, ()), tools)
    return CHECKS[PublisherKind(publisher.kind)](job)


def _worked(held: Held, tools: Tools) -> str:
    """Drive it; what it came to. Raises LeaseLost."""
    try:
        return _driven(held, tools)
    except GivenUp as fault:
        return _refused(held, fault) if fault.code == REFUSED else _ended(held, fault)
    except (Again, Crowded) as fault:
        return _tried(held, fault)
    except LeaseLost:
        raise
    except StorageError as fault:
        return _tried(held, Again("publish.internal", f"the storage: {type(fault).__name__}"))
    except Exception as fault:  # a bug must not end the worker, nor spin
        if isinstance(fault, (DBAPIError, PoolTimeout)) and retryable(fault):
            raise  # the claim ends by itself, and what was done meanwhile is asked after
        log.exception("publication.fault", publication=held.publication.id)
        return _tried(held, Again("publish.internal", type(fault).__name__))


def _driven(held: Held, tools: Tools) -> str:
    """Raises PublishError, LeaseLost, and what the tools raise."""
    if held.lost:
        raise GivenUp("publish.internal", "no worker came back from it")
    job = _job(held, tools)
    steps = STEPS[PublisherKind(held.publisher.kind)]
    step = held.publication.step
    while True:
        outcome = steps[step](job)
        job.remote = {**job.remote, **outcome.remote}
        if (ended := _written(job, step, outcome)) is not None:
            return ended
        assert isinstance(outcome, Next)
        step = outcome.step


def _written(job: Job, step: str, outcome: Outcome) -> str | None:
    """Commit what a step came to; how that is called where it is the last for now. Raises LeaseLost."""
    held, remote = job.held, job.remote
    match outcome:
        case Next():
            transact(lambda session: outcomes.advance(session, held, outcome.step, remote))
            job.renewed()
            return None
        case Later():
            transact(lambda session: outcomes.wait(session, held, step, remote, outcome.pause))
            return "wait"
        case Published():
            transact(lambda session: outcomes.published(session, held, remote, outcome.removed, outcome.left))
            log.info("publication.published", publication=held.publication.id, kind=held.publisher.kind)
            return "published"


def _job(held: Held, tools: Tools) -> Job:
    try:
        credentials = publishers.credentials_of(held.publisher)
    except (SecretKeyMissing, SecretKeyChanged) as error:
        raise Again("publish.internal", type(error).__name__) from None
    settings = publishers.settings_of(held.publisher)
    return Job(held, settings, credentials, tools.storage, tools.fetch, dict(held.publication.remote or {}))


def _ended(held: Held, fault: GivenUp) -> str:
    transact(lambda session: outcomes.end(session, held, fault))
    log.warning("publication.failed", **_facts(held, fault))
    return "failed"


def _refused(held: Held, fault: GivenUp) -> str:
    waits = transact(lambda session: outcomes.refused(session, held, fault))
    log.warning("publication.again" if waits else "publication.failed", **_facts(held, fault))
    return "again" if waits else "failed"


def _tried(held: Held, fault: Again | Crowded) -> str:
    if transact(lambda session: outcomes.again(session, held, fault)):
        log.warning("publication.again", **_facts(held, fault))
        return "again"
    log.warning("publication.failed", **_facts(held, fault))
    return "failed"


def _facts(held: Held, fault: PublishError) -> dict[str, str]:
    return {"publication": held.publication.id, "kind": held.publisher.kind, "code": fault.code}
