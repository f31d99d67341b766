"""What answers hold of catalogs."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class ReadErrorBody(BaseModel):
    """Why a reading failed."""

    code: str = Field(examples=["address.timeout"])
    message: str


class ReadBody(BaseModel):
    """One reading of a catalog."""

    id: str = Field(examples=["crd_01jz0000000000000000000000"])
    catalog_id: str
    state: str = Field(description="`pending`, `reading`, `done` or `failed`.", examples=["done"])
    trigger: str = Field(description="`asked` or `schedule`.")
    force: bool
    format: str | None = Field(description="As it was told from the content.", examples=["shopify_csv"])
    encoding: str | None
    not_modified: bool = Field(description="The server said that nothing changed since the last reading.")
    counts: dict[str, int] = Field(
        description="products, left_out, rejected, problems; new, changed, again, unchanged, gone; rendered, reused,"
        " under_way. Empty until it is done."
    )
    batch_id: str | None = Field(description="Of its renders; null where there was nothing to render.")
    error: ReadErrorBody | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]


class CatalogBody(BaseModel):
    """A catalog as it stands."""

    id: str = Field(examples=["cat_01jz0000000000000000000000"])
    name: str | None
    url: str | None = Field(description="Without what stands behind a `?`, which may be a secret.")
    template: str
    options: dict[str, Any]
    schedule_seconds: int | None
    publisher_id: str | None = Field(description="Brings the finished videos to their products.")
    next_read_at: datetime | None
    last_read: ReadBody | None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]


class CatalogPage(BaseModel):
    """Newest first."""

    data: list[CatalogBody]
    next_cursor: str | None


class ReadPage(BaseModel):
    """Newest first."""

    data: list[ReadBody]
    next_cursor: str | None


class ProductProblemBody(BaseModel):
    """What was wrong with a row of the source; `fatal` ones became no render."""

    place: int = Field(description="Line of the file, or number of the item, from 1.")
    ref: str | None
    code: str = Field(examples=["item.no_title"])
    detail: str
    fatal: bool


class ProductProblemPage(BaseModel):
    """In the source's order."""

    data: list[ProductProblemBody]
    next_cursor: str | None


class ChangeBody(BaseModel):
    """What a reading found out about a product, and what came of it."""

    ref: str
    title: str
    kind: str = Field(description="`new`, `changed`, `again` or `gone`.")
    outcome: str | None = Field(description="`rendered`, `reused`, `under_way`, `kept`; null for what is gone.")
    render_id: str


class ChangePage(BaseModel):
    """In the source's order, what is gone last."""

    data: list[ChangeBody]
    next_cursor: str | None


class ProductBody(BaseModel):
    """A product as it was read."""

    ref: str
    title: str
    description: str
    price: str | None
    sale_price: str | None
    currency: str | None
    brand: str | None
    link: str | None
    pictures: list[str]
    status: str
    available: bool
    place: int


class CatalogEstimateBody(BaseModel):
    """What it would cost at most, if nothing of it was rendered before."""

    renders: int
    credits: float


class CatalogDryRunBody(BaseModel):
    """How a catalog was understood; nothing was kept. Not `complete`: time was up, the counts are of the beginning."""

    complete: bool
    format: str
    encoding: str | None
    delimiter: str | None
    columns: list[str]
    counts: dict[str, int]
    products: list[ProductBody] = Field(description="The first ones.")
    prompt: str | None = Field(description="The first product's.")
    problems: list[ProductProblemBody] = Field(description="The first ones.")
    estimate: CatalogEstimateBody
