"""A database of a module's own, finished renders with a real video, shops that are imitated, and the drive by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from tests.media.conftest import clip, ffmpeg
from tests.publishing.receiver_standin import SECRET, Receiver
from tests.publishing.shopify_standin import TOKEN, Shopify
from tests.publishing.standin import running
from tests.publishing.woocommerce_standin import PASSWORD, USER, WooCommerce
from tests.stack import here
from worker.database import new_id, transact
from worker.media.storage import Storage, open_storage
from worker.owners.store import owner
from worker.publishing import driving, due, publications, publishers
from worker.publishing.driving import Tools
from worker.publishing.models import Publication, Publisher, PublisherKind
from worker.publishing.settings import CREDENTIALS, SETTINGS
from worker.renders import purge, store
from worker.renders.models import Event, Render, Result, Worker
from worker.renders.store import NewRender

__all__ = ["clip", "ffmpeg"]

WAITS = {
    "VIVIDEO_PUBLISH_POLL_SECONDS": "0",
    "VIVIDEO_RETRY_FIRST_SECONDS": "0",
    "VIVIDEO_PUBLISH_READ_SECONDS": "5",
}


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    environment = {"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}
    with here(environment | WAITS | {"VIVIDEO_ALLOW_LOCAL_ADDRESSES": "true"}):
        yield


@pytest.fixture(autouse=True)
def _empty(_settings: None) -> None:
    """Nothing is due of an earlier test; truncating costs more than a whole test here."""
    transact(lambda session: session.execute(text("DELETE FROM publishers")))


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A directory."""
    return open_storage((tmp_path_factory.mktemp("results")).as_uri())


@pytest.fixture
def tools(storage: Storage) -> Tools:
    return Tools(storage)


@pytest.fixture(scope="session")
def video(clip: Callable[[str], Path]) -> bytes:
    """A small MP4."""
    return clip("silent.mp4").read_bytes()


@pytest.fixture
def render(storage: Storage, video: bytes) -> Callable[..., str]:
    """`render()`: a succeeded render with its video; its id."""
    return lambda **columns: a_render(storage, columns.pop("content", video), **columns)


@pytest.fixture(scope="module")
def _servers() -> Iterator[dict[str, Any]]:
    shops = {"shopify": Shopify(), "woocommerce": WooCommerce(), "http": Receiver()}
    with running(shops["shopify"]), running(shops["woocommerce"]), running(shops["http"]):
        yield shops


def _fresh(servers: dict[str, Any], kind: str) -> Any:
    """One server a module, as good as new for each test."""
    shop = servers[kind]
    kept = {"url": shop.url, "lock": shop.lock}
    shop.__dict__.clear()  # what a test put in a method's place too
    shop.__dict__.update(type(shop)().__dict__ | kept)
    return shop


@pytest.fixture
def shopify(_servers: dict[str, Any]) -> Shopify:
    return _fresh(_servers, "shopify")


@pytest.fixture
def woocommerce(_servers: dict[str, Any]) -> WooCommerce:
    return _fresh(_servers, "woocommerce")


@pytest.fixture
def receiver(_servers: dict[str, Any]) -> Receiver:
    return _fresh(_servers, "http")


def owner_id(name: str = "default") -> str:
    return transact(lambda session: owner(session, name).id)


def a_render(storage: Storage, content: bytes, *, owner_name: str = "default", **columns: Any) -> str:
    """Accept a render and end it as if workers had made it, with its file."""

    def accept(session):
        row = store.accept(session, owner(session, owner_name).id, NewRender(prompt="a lamp", language="en"))
        return row.id, row.owner_id

    render_id, mine = transact(accept)
    key = f"{mine}/{render_id}/1/abc.mp4"
    storage.put_bytes(key, content)

    def finish(session):
        ended = {"status": "succeeded", "started_at": text("now()"), "finished_at": text("now()")} | columns
        session.execute(update(Render).where(Render.id == render_id).values(**ended))
        facts = {"sha256": "0", "bytes": len(content), "duration_seconds": 6.0, "width": 1, "height": 1}
        more = {"video_codec": "h264", "pixel_format": "yuv420p", "poster_key": None}
        session.add(Result(render_id=render_id, run=1, owner_id=mine, storage_key=key, **facts, **more))

    transact(finish)
    return render_id


def a_publisher(kind: str, settings: dict[str, Any], credentials: dict[str, Any], owner_name: str = "default") -> str:
    def make(session):
        return publishers.create(
            session,
            owner(session, owner_name).id,
            PublisherKind(kind),
            settings=SETTINGS[PublisherKind(kind)].model_validate(settings),
            credentials=CREDENTIALS[PublisherKind(kind)].model_validate(credentials),
        ).id

    return transact(make)


def change_publisher(publisher_id: str, **told: Any) -> None:
    """As its owner does."""

    def work(session):
        shut = "settings" in told
        row = publishers.locked(session, the_publisher(publisher_id).owner_id, publisher_id, shut=shut)
        assert row is not None
        publishers.change(session, row, **told)

    transact(work)


def at_shopify(shop: Shopify, **settings: Any) -> str:
    return a_publisher("shopify", {"shop": shop.url, **settings}, {"access_token": TOKEN})


def at_woocommerce(shop: WooCommerce, **settings: Any) -> str:
    return a_publisher("woocommerce", {"url": shop.url, **settings}, {"user": USER, "application_password": PASSWORD})


def at_address(receiver: Receiver, **settings: Any) -> str:
    return a_publisher("http", {"url": f"{receiver.url}/videos", **settings}, {"secret": SECRET})


def asked(publisher_id: str, render_id: str, ref: str = "lamp", **product: Any) -> str:
    """Ask for a publication; its id."""

    def work(session):
        made = publications.ask(session, publisher_id, session.get_one(Render, render_id), ref, product)
        assert made is not None
        return made.id

    return transact(work)


def not_asked(publisher_id: str, render_id: str, ref: str = "lamp", **product: Any) -> bool:
    """Whether asking makes no publication."""

    def work(session):
        return publications.ask(session, publisher_id, session.get_one(Render, render_id), ref, product) is None

    return transact(work)


def echoed(publisher_id: str, render_id: str, ref: str = "lamp", *, moved: bool = False) -> str | None:
    """A message says that the product is as it was; the publication that it asks for, or None."""

    def work(session):
        row = session.get_one(Render, render_id)
        made = publications.ask_where_new(session, publisher_id, row, ref, {}, moved=moved)
        return made and made.id

    return transact(work)


def the(publication_id: str) -> Publication:
    return transact(lambda session: session.get_one(Publication, publication_id))


def the_publisher(publisher_id: str) -> Publisher:
    return transact(lambda session: session.get_one(Publisher, publisher_id))


def events_of(render_id: str) -> list[tuple[str, dict[str, Any]]]:
    query = select(Event).where(Event.render_id == render_id).order_by(Event.number)
    rows = transact(lambda session: session.scalars(query).all())
    return [(one.type, one.data) for one in rows]


def change(publication_id: str, **columns: Any) -> None:
    query = update(Publication).where(Publication.id == publication_id).values(**columns)
    transact(lambda session: session.execute(query))


def deleted(render_id: str) -> None:
    """Delete a render, as its owner does."""

    def work(session: Session) -> None:
        row = store.locked(session, owner_id(), render_id)
        assert row is not None
        purge.purge(session, row)
        publications.scrub(session, row)

    transact(work)


@contextmanager
def io_worker(capacity: int) -> Iterator[None]:
    """One that is there for the dispatcher, with so many places."""
    row = {"id": new_id("wrk"), "kind": "io", "capacity": capacity, "seen_at": func.now()}
    host = {"hostname": "here", "pid": 1, "version": "0"}
    transact(lambda session: session.execute(insert(Worker).values(row | host)))
    try:
        yield
    finally:
        transact(lambda session: session.execute(text("DELETE FROM workers")))


def settled(tools: Tools, *, rounds: int = 40) -> None:
    """Do what the dispatcher and the workers do until nothing is due any more."""
    for _ in range(rounds):
        found = transact(due.due)
        if not found:
            return
        for one in found:
            driving.drive(one.id, one.lease, tools)
    raise AssertionError("still something due")


def published(publication_id: str) -> Publication:
    """It, where it went well."""
    row = the(publication_id)
    assert (row.state, row.error_code, row.error_detail) == ("published", None, None)
    return row
