"""What publishers and publications are asked for with."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api import limits
from api.catalogs.schemas import Name
from api.schemas import Plain
from worker.publishing.models import PublisherKind

Part = Annotated[str, StringConstraints(min_length=1, max_length=limits.REFERENCE_CHARACTERS), Plain]
RenderName = Annotated[str, StringConstraints(pattern=r"^rnd_[0-9a-z]{26}$")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PublisherRequest(_Request):
    """A place that videos are brought to."""

    kind: PublisherKind
    name: Name | None = Field(None, description="For people.", examples=["spring shop"])
    settings: dict[str, Any] = Field(description="By kind: docs/publishing.md.")
    credentials: dict[str, Any] = Field(default={}, description="By kind; encrypted at rest, never shown again.")


class PublisherChange(_Request):
    """What can be changed; what is left out stays. `settings` and `credentials` are replaced as a whole."""

    name: Name | None = None
    settings: dict[str, Any] | None = None
    credentials: dict[str, Any] | None = None
    enabled: bool | None = Field(None, strict=True, description="false: its publications wait.")


class ProductPlace(_Request):
    """Where a product is in its shop; one of them is enough."""

    id: Part | None = None
    handle: Part | None = Field(default=None, description="WooCommerce: the slug.")
    sku: Part | None = None


class PublicationRequest(_Request):
    """A finished render's video to be brought to a product."""

    render_id: RenderName
    ref: Part | None = Field(None, description="Your reference of the product; else the render's `external_ref`.")
    product: ProductPlace | None = Field(None, description="Where it is; else `ref` is taken for that.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.product is not None and len(self.product.model_dump(exclude_none=True)) > 1:
            raise ValueError("give one of id, handle and sku")
        return self
