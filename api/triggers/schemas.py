"""What a trigger may be asked for with, and what can be changed of it."""

import json
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.catalogs.schemas import Name, ProductOptions, PublisherId, Template
from api.schemas import Plain
from worker.triggers import conditions, topics
from worker.triggers.models import Style
from worker.triggers.secrets import LONGEST as LONGEST_SECRET

LONGEST_OVERLAP_SECONDS = 30 * 24 * 3600
OVERLAP_SECONDS = 24 * 3600
LARGEST_JSON = 64 * 1024
"""Of a mapping, or of conditions, as JSON."""

Json = TypeVar("Json")


def _keepable(value: Json) -> Json:
    """What PostgreSQL can hold, of a size that is read at each message."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("a text holds half a surrogate pair, which is no character") from None
    except ValueError:
        raise ValueError("JSON has no infinite numbers and no NaN") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if size > LARGEST_JSON:
        raise ValueError(f"{size} bytes as JSON; at most {LARGEST_JSON}")
    # json.dumps writes NUL as an escape; a backslash before it would be doubled.
    if "\\u0000" in text.replace("\\\\", ""):
        raise ValueError("a text holds a NUL character")
    return value


_MAPPING = (
    'How the body fills the template: `{"variables": {"title": "/name"}, "pictures": ["/images/*/src"], '
    '"external_ref": "/id", "revision": "/updated_at"}`, JSON pointers. Empty: the body is a product.'
)
_CONDITIONS = (
    'All have to hold: `{"pointer": "/status", "equals": "active"}`, `not_equals`, `in`, `exists`; of those that say '
    "`changed` one is enough."
)

Topics = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=topics.LONGEST), Plain]],
    Field(max_length=topics.MOST),
]
Mapping = Annotated[dict[str, Any], AfterValidator(_keepable)]
Conditions = Annotated[list[dict[str, Any]], Field(max_length=conditions.MOST), AfterValidator(_keepable)]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SECRET), Plain]


class TriggerRequest(BaseModel):
    """A source of messages to be taken on."""

    model_config = ConfigDict(extra="forbid")

    style: Style = Field(description="How the source signs.", examples=["shopify"])
    template: Template = Field(description="`name`: always its newest version; `name@3`: that one.", examples=["promo"])
    name: Name | None = Field(default=None, description="For people.", examples=["spring shop"])
    secret: Secret | None = Field(
        default=None,
        description="What it signs with; null: one is made. `shopify` and `stripe` make their own: give it.",
    )
    options: ProductOptions = Field(default=ProductOptions(), description="How its products are rendered.")
    topics: Topics | None = Field(
        default=None, description="That may render, with `*` for anything; null: the style's for products, or all."
    )
    mapping: Mapping = Field(default={}, description=_MAPPING)
    conditions: Conditions = Field(default=[], description=_CONDITIONS)
    publisher_id: PublisherId | None = Field(
        default=None, description="Brings the finished videos back to their products."
    )
    paused: bool = Field(default=False, description="Messages are kept and wait.")


class TriggerChange(BaseModel):
    """What can be changed; what is left out stays. `options`, `mapping` and `conditions` are replaced as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    template: Template | None = None
    options: ProductOptions | None = None
    topics: Topics | None = Field(default=None, description="null: the style's own, or all.")
    mapping: Mapping | None = Field(default=None, description="null: none.")
    conditions: Conditions | None = Field(default=None, description="null: none.")
    publisher_id: PublisherId | None = Field(default=None, description="null: none.")
    paused: bool | None = Field(default=None, description="false: goes on, with what it kept first.")


class RotationRequest(BaseModel):
    """How to change a trigger's secret."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP_SECONDS, strict=True)] = Field(
        default=OVERLAP_SECONDS, description="So long messages signed with the secret before are taken too."
    )
    secret: Secret | None = Field(default=None, description="The new one; null: one is made.")


class ReplayRequest(BaseModel):
    """How to decide a message anew."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(default=False, description="Only say what would become of it.")
    force: bool = Field(default=False, description="Render although the video is there: it is paid for again.")
