"""What answers hold of publishers and publications: nothing that was given as a credential."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class PublishErrorBody(BaseModel):
    """Why it does not go."""

    code: str = Field(examples=["publish.refused"])
    message: str = Field(description="The shop's own words, where there are some.")
    help: str


class PublisherBody(BaseModel):
    """A publisher as it stands."""

    id: str
    kind: str
    name: str | None
    settings: dict[str, Any]
    enabled: bool
    failing_since: datetime | None
    error: PublishErrorBody | None = Field(description="Its last fault, until a publication goes through.")
    quiet_until: datetime | None = Field(
        description="Its credentials were refused: its publications wait until then, or until it is changed or enabled."
    )
    succeeded_at: datetime | None
    secret: str | None = Field(None, description="Where one was made: in the answer to that call alone.")
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]


class PublisherPage(BaseModel):
    """Newest first."""

    data: list[PublisherBody]
    next_cursor: str | None


class PublisherCheckBody(BaseModel):
    """Whether the shop takes the credentials."""

    ok: bool
    told: str | None = Field(description="What the shop calls itself, or its user.")
    error: PublishErrorBody | None


class PublicationBody(BaseModel):
    """A video on its way to a product."""

    id: str
    publisher_id: str
    render_id: str
    run: int
    ref: str
    product: dict[str, Any]
    state: str = Field(description="`pending`, `published`, `failed` or `superseded`.")
    step: str
    media_id: str | None = Field(description="What the shop calls it.")
    tries: int
    error: PublishErrorBody | None
    remark: str | None = Field(description="Of a published one: what was refused after it, such as a deletion.")
    next_try_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    links: dict[str, str]


class PublicationPage(BaseModel):
    """Newest first."""

    data: list[PublicationBody]
    next_cursor: str | None
