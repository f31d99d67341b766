"""What a batch may be asked for with, and what can be changed of it."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api import limits
from api.schemas import Metadata, Plain, Priority, Tag, VideoRequest

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=limits.REFERENCE_CHARACTERS), Plain
]
First = Annotated[int, Field(ge=1, le=limits.LARGEST_NUMBER, strict=True)]
Credits = Annotated[float, Field(ge=1, le=1e12, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]


def _known(defaults: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(defaults.keys() - VideoRequest.model_fields.keys())
    if unknown:
        raise ValueError(f"unknown, or does nothing yet: {', '.join(unknown)[:200]}")
    return defaults


Defaults = Annotated[
    dict[str, Any],
    AfterValidator(_known),
    Field(
        description="Fields that all items have unless they have their own; `metadata` is put together name by name.",
        examples=[{"language": "en", "tags": ["spring"]}],
    ),
]


class BatchOptions(BaseModel):
    """What concerns a batch as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(None, description="For people.", examples=["spring shoes"])
    priority: Priority = "normal"
    tags: list[Tag] = Field(default=[], max_length=limits.TAGS, description="Of the batch; `defaults` has the items'.")
    metadata: Metadata = {}
    first: First | None = Field(
        None, description="Begin so many, in order; the others wait until the batch is approved."
    )
    max_credits: Credits | None = Field(
        None, description="Pause before more than that is spent, what is under way included."
    )
    max_failure_rate: Share | None = Field(
        None, description="Pause when more than this share of the ended ones failed."
    )
    defaults: Defaults = {}


class BatchRequest(BatchOptions):
    """Many videos to be made. More than 500 are sent as a file: JSON Lines or CSV."""

    items: list[Any] = Field(
        min_length=1,
        max_length=limits.BATCH_ITEMS,
        description="Each as in POST /v1/renders. One that is not valid is listed among the batch's problems, and the "
        "others are made.",
        examples=[[{"prompt": "a 10-second video about our trail shoe", "external_ref": "sku-1"}]],
    )


class BatchChange(BaseModel):
    """What can be changed of a batch; what is left out stays, and null takes a limit off."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    name: Name | None = None
    priority: Priority | None = Field(None, description="Of its renders that are still queued too.")
    max_credits: Credits | None = None
    max_failure_rate: Share | None = None
    metadata: Metadata | None = Field(None, description="Replaces the old one as a whole.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give at least one field")
        return self
