"""One reading, from its claim to its end: fetch, read, compare, accept. Run in the media workers, which hold one thing
at a time.

Dies anywhere: the dispatcher gives the reading to another worker, which throws away what was half received and begins
afresh; nothing of it had been promised, begun or charged.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import NoReturn

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from config.logging import get
from worker.addresses.errors import AddressError, Unreachable
from worker.addresses.fetch import Guarded
from worker.batches import receiving
from worker.batches.models import Batch
from worker.batches.receiving import NewBatch, Received
from worker.catalogs import acceptance, counts, products, reads, requests, source, staging
from worker.catalogs.feeds import NotAFeed, Problem, Product, Reading, open_feed
from worker.catalogs.models import CatalogProduct, Trigger
from worker.catalogs.options import Options
from worker.catalogs.pictures import Versions
from worker.catalogs.reads import Held, LeaseLost
from worker.catalogs.requests import NoRequest, Recipe, Requested
from worker.catalogs.source import BadStatus, Validators
from worker.database import new_id, retryable, transact
from worker.media.storage import NotStored, Storage, StorageUnavailable
from worker.media.workspace import workspace
from worker.owners.limits import LimitReached
from worker.renders import purge
from worker.renders.models import Render
from worker.renders.states import Charge, Status
from worker.templates import store as templates

log = get(__name__)

CHUNK = 200
"""Products in one transaction."""
MOST_TRIES = 5
"""Of a fetch, with pauses of 10 s to 3 min in between: a schedule comes again anyway, and a person looks."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=3)
LET_GO_SECONDS = 600.0
"""While the database is away, its worker stays to let go of a reading: it lives, so nobody would take it for half an
hour."""
FAULT = "A fault in this service: the log has the place."
MOST_PRODUCTS = 500_000
"""Of one reading: beyond that each of its last transaction's statements takes minutes."""
MOST_PROBLEMS = 10_000
"""Kept of one reading; all are counted."""

BROKEN_OFF = frozenset({"feed.cut", "feed.broken", "item.cut"})
"""Problems after which products may be missing that are there."""


class Unreadable(Exception):
    """The reading fails: a stable code, and a sentence for the owner."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class TryAgain(Unreadable):
    """It fails unless a later try fares better."""


@dataclass(frozen=True)
class Tools:
    """What a reading works with."""

    storage: Storage
    guarded: Guarded = field(default_factory=Guarded)


def drive(read_id: str, lease: int, *, worker: str, tools: Tools) -> None:
    """Claim a reading and end it, one way or the other. Not there to be claimed: somebody else was quicker."""
    held = transact(lambda session: reads.claim(session, read_id, lease=lease, worker=worker))
    if held is None:
        log.debug("claim.missed", read=read_id, lease=lease)
        return
    try:
        _end(held, tools)
    except LeaseLost:
        log.warning("catalog.lost", read=read_id, lease=held.lease)


def _end(held: Held, tools: Tools) -> None:
    try:
        _try(held, tools)
    except TryAgain as error:
        if held.read.tries + 1 >= MOST_TRIES:
            _fail(held, error)
        else:
            wait = min(FIRST_PAUSE * 3 ** min(held.read.tries, 3), LONGEST_PAUSE)
            transact(lambda session: reads.again(session, held, wait), retry_for=LET_GO_SECONDS)
    except Unreadable as error:
        _fail(held, error)


def _try(held: Held, tools: Tools) -> None:
    """Raises Unreadable, TryAgain, LeaseLost."""
    try:
        _discard(transact(lambda session: reads.begin_afresh(session, held)))
        if held.read.deaths >= reads.MOST_DEATHS:
            raise Unreadable("internal", "Every worker that read it ended while it did: the log has the place.")
        result = _read(held, tools)
        while not transact(lambda session: products.forget_unchanged(session, held.catalog.id)):
            pass
    except (Unreadable, LeaseLost):
        raise
    except LimitReached as reached:
        raise Unreadable(f"limit.{reached.kind}", f"{reached.detail} Nothing of it was taken on.") from None
    except receiving.Gone as error:  # taken for left behind, or by another worker, which the next write tells
        raise TryAgain("internal", FAULT) from error
    except Exception as error:
        log.exception("catalog.fault", read=held.read.id)
        raise (TryAgain if _passes(error) else Unreadable)("internal", FAULT) from error
    else:
        log.info("catalog.read", read=held.read.id, catalog=held.catalog.id, batch=result.batch_id, **result.counts)


def _passes(error: Exception) -> bool:
    """Whether the same reading, begun afresh, may end well: the database was away, or the disk was full."""
    if isinstance(error, (DBAPIError, PoolTimeout)):
        return retryable(error)
    return isinstance(error, OSError)


def _fail(held: Held, error: Unreadable) -> None:
    log.info("catalog.failed", read=held.read.id, catalog=held.catalog.id, code=error.code)

    def work(session: Session) -> str | None:
        batch_id = reads.hold(session, held).batch_id
        reads.fail(session, held, error.code, error.detail)
        _drop_file(session, held)
        return batch_id

    _discard(transact(work, retry_for=LET_GO_SECONDS))


def _drop_file(session: Session, held: Held) -> None:
    if held.read.storage_key:
        purge.doom(session, [held.read.storage_key])


def _discard(batch_id: str | None) -> None:
    while batch_id is not None and not transact(lambda session: receiving.discard(session, batch_id)):
        pass


def _read(held: Held, tools: Tools) -> acceptance.Result:
    """Raises Unreadable, TryAgain, LeaseLost."""
    recipe = transact(lambda session: recipe_of(session, held))
    with workspace() as folder:
        path = folder / "feed"
        validators = _bring(held, recipe, tools, path)
        if validators is None:
            return transact(lambda session: _not_modified(session, held))
        try:
            reading = open_feed(path, heard=_Pulse(held))
        except NotAFeed as error:
            raise Unreadable(error.code, f"{error.reason} {error.remedy}") from None
        return _Taking(held, recipe, Versions(tools.guarded)).take(reading, validators)


def recipe_of(session: Session, held: Held) -> Recipe:
    """What a reading's products are made with. Raises Unreadable."""
    try:
        found = templates.resolve(session, held.read.owner_id, held.catalog.template)
    except (templates.Unknown, templates.Archived) as error:
        raise Unreadable("template.unknown", f"There is no template for it: {error}.") from None
    return Recipe(found, Options.read(held.catalog.options), held.read.api_key_id or held.catalog.api_key_id)


def _bring(held: Held, recipe: Recipe, tools: Tools, path: Path) -> Validators | None:
    """The file, on the disk. None: it is the one of the last reading. Raises Unreadable, TryAgain."""
    if held.read.storage_key is not None:
        try:
            tools.storage.open_to_file(held.read.storage_key, path)
        except NotStored:
            raise Unreadable("catalog.file_gone", "The file is no longer in storage: send it again.") from None
        except StorageUnavailable as error:
            raise TryAgain("storage.unavailable", "The file storage is away.") from error
        return Validators()
    if held.catalog.url is None:
        raise Unreadable("catalog.no_source", "It has no address: send a file to be read.")
    known = transact(lambda session: _known(session, held, recipe))
    try:
        return source.fetch(held.catalog.url, path, known, guarded=tools.guarded, beat=lambda: _beat(held))
    except (AddressError, BadStatus) as error:
        passing = error.passing if isinstance(error, BadStatus) else isinstance(error, Unreachable)
        raise (TryAgain if passing else Unreadable)(*source.explained(error)) from None


class _Pulse:
    """Says now and then that the reading goes on: a file of gigabytes may be read to its end before its first product.
    Raises LeaseLost."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._heard = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._heard > source.BEAT_SECONDS:
            _beat(self._held)
            self._heard = time.monotonic()


def _beat(held: Held) -> None:
    transact(lambda session: reads.write(session, held))


def _known(session: Session, held: Held, recipe: Recipe) -> Validators:
    """What the server may answer "not modified" to: nothing where the same feed would come to something else now."""
    catalog = held.catalog
    if held.read.force or catalog.template_version != recipe.template.version.id or _is_anything_missing(session, held):
        return Validators()
    return Validators(catalog.etag, catalog.last_modified)


def _is_anything_missing(session: Session, held: Held) -> bool:
    """Whether a product has no video and would be rendered again (`staging.Known.may_be_repeated`)."""
    batch = select(Batch.id).where(Batch.id == Render.batch_id, Batch.cancel_requested_at.is_not(None))
    called_off = Render.finished_at.is_(None) & or_(Render.cancel_requested_at.is_not(None), batch.exists())
    gone = or_(Render.purged_at.is_not(None), Render.status == Status.CANCELED.value, called_off)
    failed = Render.status.in_([Status.FAILED.value, Status.EXPIRED.value])
    asked = held.read.trigger == Trigger.ASKED
    for_nothing = and_(Render.charge_state == Charge.NONE.value, ~staging.charged_before())
    again = or_(gone, failed) if asked else failed & for_nothing
    products = CatalogProduct.catalog_id == held.catalog.id, CatalogProduct.gone_at.is_(None)
    return bool(session.scalar(select(exists().where(*products, Render.id == CatalogProduct.render_id, again))))


def _not_modified(session: Session, held: Held) -> acceptance.Result:
    whole = counts.complete(Counter())
    reads.finish(session, held, whole, not_modified=True)
    return acceptance.Result(whole, None)


@dataclass
class _Taking:
    """The products of one reading on their way into its batch."""

    held: Held
    recipe: Recipe
    versions: Versions
    counted: Counter[str] = field(default_factory=Counter[str])
    received: Received = field(default_factory=Received)
    complete: bool = True
    """Whether the source was read to its end: otherwise what is missing may be there, and is read again."""
    batch_id: str = field(default_factory=lambda: new_id("bat"))

    def take(self, reading: Reading, validators: Validators) -> acceptance.Result:
        """Raises Unreadable, LeaseLost."""
        transact(self._begin)
        items = reading.items()
        while chunk := list(islice(items, CHUNK)):
            self._take_chunk(chunk)
        if not self.counted[counts.PRODUCTS]:
            self._nothing_in_it()
        facts = {"format": reading.format, "encoding": reading.encoding}

        def accept(session: Session) -> acceptance.Result:
            result = acceptance.accept(
                session,
                self.held,
                self.recipe,
                self.batch_id,
                self.counted,
                validators=validators if self.complete else Validators(),
                facts=facts,
                complete=self.complete,
            )
            _drop_file(session, self.held)
            return result

        return transact(accept)

    def _begin(self, session: Session) -> None:
        read, options = self.held.read, self.recipe.options
        new = NewBatch(
            source="catalog",
            name=self.held.catalog.name,
            priority=options.priority,
            tags=options.tags,
            metadata={"catalog_id": self.held.catalog.id, "read_id": read.id},
            first=options.first,
            max_credits=options.max_credits,
            max_failure_rate=options.max_failure_rate,
            api_key_id=self.recipe.api_key_id,
        )
        receiving.begin(session, read.owner_id, new, batch_id=self.batch_id)
        reads.write(session, self.held, batch_id=self.batch_id)

    def _nothing_in_it(self) -> NoReturn:
        """No product at all is a fault of the feed's far more often than an empty shop: nothing counts as gone."""
        raise Unreadable("catalog.empty", "There is no product in it; what was known of the catalog stays as it is.")

    def _take_chunk(self, chunk: list[Product | Problem]) -> None:
        problems = [one for one in chunk if isinstance(one, Problem)]
        asked = [one for product in self._wanted(chunk) for one in self._requests(product, problems)]
        asked = self._without_repeats(asked)
        learned = self.versions.learn(address for one in asked for address in one.pictures)
        refs = [one.ref for one in asked]

        def work(session: Session) -> Received:
            known = staging.known(session, self.held.catalog.id, refs)
            template = self.recipe.template.version.id
            trigger, force = self.held.read.trigger, self.held.read.force
            judged = [
                staging.judge(one, known.get(one.ref), learned, template=template, trigger=trigger, force=force)
                for one in asked
            ]
            kept = problems[: max(0, MOST_PROBLEMS - self.counted[counts.PROBLEMS])]
            return staging.add(session, self.held, self.batch_id, judged, kept, before=self.received)

        self.received = transact(work)
        self.counted[counts.PROBLEMS] += len(problems)
        self.counted[counts.REJECTED] += sum(one.fatal for one in problems)
        self.complete = self.complete and not any(one.code in BROKEN_OFF for one in problems)

    def _wanted(self, chunk: list[Product | Problem]) -> Iterator[Product]:
        for one in chunk:
            if not isinstance(one, Product):
                continue
            self.counted[counts.PRODUCTS] += 1
            if self.counted[counts.PRODUCTS] > MOST_PRODUCTS:
                raise Unreadable("catalog.too_many", f"There are more than {MOST_PRODUCTS:,} products: split the feed.")
            if self.recipe.wants(one):
                yield one
            else:
                self.counted[counts.LEFT_OUT] += 1

    def _requests(self, product: Product, problems: list[Problem]) -> Iterator[Requested]:
        try:
            made, remarks = requests.request(product, self.recipe)
        except NoRequest as error:
            problems.append(error.problem)
            return
        problems += remarks
        yield made

    def _without_repeats(self, asked: list[Requested]) -> list[Requested]:
        """The readers report a ref that comes twice; this only keeps one that slipped through from ending it all."""
        seen = transact(lambda session: staging.seen(session, self.held.read.id, [one.ref for one in asked]))
        first = {one.ref: one for one in reversed(asked) if one.ref not in seen}
        return [one for one in asked if first.get(one.ref) is one]
