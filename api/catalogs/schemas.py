"""What a catalog may be asked for with, and what can be changed of it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api import limits
from api.schemas import Language, Metadata, Output, Plain, Priority, Tag, Target
from worker.catalogs.options import Include, Options
from worker.templates.store import REFERENCE

SOONEST_SECONDS = 60
LATEST_SECONDS = 30 * 24 * 3600

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=limits.REFERENCE_CHARACTERS), Plain
]
Template = Annotated[str, StringConstraints(pattern=REFERENCE)]
Schedule = Annotated[int, Field(ge=SOONEST_SECONDS, le=LATEST_SECONDS)]
Prefix = Annotated[str, StringConstraints(max_length=64), Plain]
PublisherId = Annotated[str, StringConstraints(pattern=r"^pub_[0-9a-z]{26}$")]


class ProductOptions(BaseModel):
    """How a product is rendered."""

    model_config = ConfigDict(extra="forbid")

    include: list[Include] = Field(default=[], max_length=3, description="Products that are left out otherwise.")
    ref_prefix: Prefix = Field(
        default="", description="Before each product's ref in `external_ref`: two shops may share refs."
    )
    language: Language | None = Field(
        default=None, description="Of the videos; null: the template's, or else detected."
    )
    output: Output = Output()
    priority: Priority = "normal"
    on_unconfirmed: Literal["fail", "retry"] = "fail"
    tags: list[Tag] = Field(default=[], max_length=limits.TAGS, description="Of the renders; empty: the template's.")
    metadata: Metadata = {}

    def options(self) -> Options:
        """As they are kept."""
        return Options.read(self.model_dump(mode="json"))


class RenderOptions(ProductOptions):
    """How the products of a catalog are rendered."""

    first: int | None = Field(
        None, ge=1, le=limits.LARGEST_NUMBER, description="Begin so many of a reading; the others wait for approval."
    )
    max_credits: float | None = Field(None, ge=1, le=1e12, description="Pause a reading's batch before more is spent.")
    max_failure_rate: float | None = Field(None, ge=0, le=1, description="Pause it when more than this share failed.")


class FileRequest(RenderOptions):
    """A catalog that is read from a file."""

    template: Template = Field(description="`name`: always its newest version; `name@3`: that one.", examples=["promo"])
    name: Name | None = Field(None, description="For people.", examples=["spring shop"])
    publisher_id: PublisherId | None = Field(None, description="Brings the finished videos to their products.")


class CatalogRequest(FileRequest):
    """A catalog that is read at an address."""

    url: Target = Field(examples=["https://shop.example/feed.xml"])
    schedule_seconds: Schedule | None = Field(None, description="Read it again so often; null: when asked to.")


class CatalogChange(BaseModel):
    """What can be changed; what is left out stays. `options` are replaced as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    template: Template | None = None
    schedule_seconds: Schedule | None = Field(None, description="null: no schedule any more.")
    options: RenderOptions | None = None
    publisher_id: PublisherId | None = Field(None, description="null: none any more.")


class ReadRequest(BaseModel):
    """How to read a catalog now."""

    model_config = ConfigDict(extra="forbid")

    force: bool = Field(default=False, description="Render every product again, whatever is there already.")
