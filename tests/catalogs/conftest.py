"""A database of a module's own, a template, a shop on a real server, and readings done at the level of the task."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from tests.addresses.servers import Server, answer, serving
from tests.emptying import empty_tables
from tests.stack import here
from worker.batches.models import Batch
from worker.catalogs import reading, reads
from worker.catalogs.models import Catalog, CatalogChange, CatalogProblem, CatalogProduct, CatalogRead
from worker.catalogs.options import Options
from worker.database import new_id, transact
from worker.media.storage import Storage, open_storage
from worker.owners.store import owner
from worker.renders.models import Render, Result
from worker.templates import store as templates
from worker.templates.store import Content
from worker.templates.variables import Variable

PROMPT = "create a promotional video about {{ title }}{% if price %} for {{ price }}{% endif %}"
TEMPLATE = Content(
    PROMPT,
    {"title": Variable(), "price": Variable(required=False), "pictures": Variable(type="list", required=False)},
)


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    environment = {"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}
    with here(environment | {"VIVIDEO_ALLOW_LOCAL_ADDRESSES": "true"}):
        yield


@pytest.fixture(autouse=True)
def _empty(_settings: None) -> None:
    tables = "catalogs, batches, renders, workers, lanes, templates, doomed_files, owners"
    transact(lambda session: empty_tables(session, tables))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A directory."""
    return open_storage((tmp_path / "results").as_uri())


@pytest.fixture
def shop(storage: Storage) -> Iterator["Shop"]:
    """A shop whose pictures have versions."""
    with serving() as server:
        yield Shop(server, storage)


@dataclass
class Shop:
    """A shop with a server for its feed and its pictures, and a template to make videos of them."""

    server: Server
    storage: Storage
    products: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def __post_init__(self) -> None:
        transact(lambda session: templates.create(session, self.owner_id, "promo", TEMPLATE))
        self.tools = reading.Tools(self.storage)

    @property
    def owner_id(self) -> str:
        return transact(lambda session: owner(session, "default").id)

    def offers(self, *refs: str, **fields: str) -> None:
        """Add products, or change those that are there."""
        for ref in refs:
            picture = self.picture(ref)
            usual = {"id": ref, "title": f"Lamp {ref}", "price": "19.90 EUR", "image_link": picture}
            self.products[ref] = self.products.get(ref, usual) | fields
        self.publish()

    def picture(self, ref: str, version: str = "1") -> str:
        """The address of a product's picture, served in this version."""
        self.server.answers[f"/{ref}.jpg"] = answer(ETag=f'"{version}"', Content_Type="image/jpeg")
        return self.server.url(f"/{ref}.jpg")

    def drops(self, *refs: str) -> None:
        for ref in refs:
            del self.products[ref]
        self.publish()

    def publish(self, **headers: str) -> None:
        """Put the feed on its server."""
        self.server.answers["/feed.csv"] = answer(body=self.feed(), **headers)

    def feed(self) -> bytes:
        columns = list(dict.fromkeys(name for one in self.products.values() for name in one))
        file = io.StringIO()
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(self.products.values())
        return file.getvalue().encode()

    def catalog(self, *, template: str = "promo", url: str | None = "", **options: Any) -> str:
        """Put a catalog on file; its id."""
        address = self.server.url("/feed.csv") if url == "" else url
        row = Catalog(
            id=new_id("cat"), owner_id=self.owner_id, url=address, template=template, options=Options(**options).kept()
        )
        transact(lambda session: session.add(row))
        return row.id

    def ask(self, catalog_id: str, **how: Any) -> str:
        """Ask for a reading; its id."""

        def work(session):
            return reads.ask(session, session.get_one(Catalog, catalog_id), **{"api_key_id": None, **how}).id

        return transact(work)

    def read(self, catalog_id: str, **how: Any) -> CatalogRead:
        """Ask for a reading and do it."""
        read_id = self.ask(catalog_id, **how)
        reading.drive(read_id, 0, worker="media-1", tools=self.tools)
        return the_read(read_id)

    def read_file(self, catalog_id: str, body: bytes, **how: Any) -> CatalogRead:
        """The same with a file that was sent."""
        key = f"catalogs/{new_id('crd')}"
        self.storage.put_bytes(key, body)
        return self.read(catalog_id, storage_key=key, **how)

    def finish(self, *ids: str, status: str = "succeeded", **more: Any) -> None:
        """End renders as if workers had made them, each with a file."""
        for render_id in ids or [one.id for one in renders() if one.finished_at is None]:
            ended = {"status": status, "started_at": text("now()"), "finished_at": text("now()"), **more}
            paid = {"charge_state": "incurred", "charge_credits": 100} if status == "succeeded" else {}
            change(render_id, **paid | ended)
            if status == "succeeded":
                self.make_file(render_id)

    def make_file(self, render_id: str) -> None:
        row = the(render_id)
        base = f"{row.owner_id}/{row.id}/{row.run}/abc"
        for ending in ("mp4", "jpg"):
            self.storage.put_bytes(f"{base}.{ending}", b"video")
        facts = {"sha256": "0", "bytes": 5, "duration_seconds": 6.0, "width": 1, "height": 1, "video_codec": "h264"}
        made = Result(
            render_id=row.id,
            run=row.run,
            owner_id=row.owner_id,
            storage_key=f"{base}.mp4",
            poster_key=f"{base}.jpg",
            pixel_format="yuv420p",
            **facts,
        )
        transact(lambda session: session.add(made))


def the(render_id: str) -> Render:
    """A render as it is now."""
    return transact(lambda session: session.get_one(Render, render_id))


def the_read(read_id: str) -> CatalogRead:
    return transact(lambda session: session.get_one(CatalogRead, read_id))


def the_batch(read: CatalogRead) -> Batch:
    assert read.batch_id is not None
    return transact(lambda session: session.get_one(Batch, read.batch_id))


def change(render_id: str, **columns: Any) -> None:
    """Put a render into some state."""
    transact(lambda session: session.execute(update(Render).where(Render.id == render_id).values(**columns)))


def renders(batch_id: str | None = None) -> Sequence[Render]:
    """All renders, or a batch's, oldest first."""
    query = select(Render).order_by(Render.id)
    if batch_id is not None:
        query = query.where(Render.batch_id == batch_id)
    return transact(lambda session: session.scalars(query).all())


def product(ref: str) -> CatalogProduct:
    """The only product of this ref."""
    return transact(lambda session: session.scalars(select(CatalogProduct).where(CatalogProduct.ref == ref)).one())


def changes(read: CatalogRead) -> dict[str, tuple[str, str | None]]:
    """What a reading changed: kind and outcome by ref."""
    query = select(CatalogChange).where(CatalogChange.read_id == read.id)
    return transact(lambda session: {row.ref: (row.kind, row.outcome) for row in session.scalars(query)})


def problems(read: CatalogRead) -> list[tuple[str | None, str]]:
    query = select(CatalogProblem).where(CatalogProblem.read_id == read.id).order_by(CatalogProblem.id)
    return transact(lambda session: [(row.ref, row.code) for row in session.scalars(query)])


def counted(read: CatalogRead) -> dict[str, int]:
    """What a reading counted, without the zeros."""
    return {name: count for name, count in read.counts.items() if count}
