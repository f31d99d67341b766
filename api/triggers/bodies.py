"""What answers hold of triggers and their messages."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

_VERDICT = "`rendered`, `unchanged`, `stale`, `ignored`, `condition`, `refused` or `held`."


class TriggerBody(BaseModel):
    """A trigger as it stands."""

    id: str = Field(examples=["trg_01jz0000000000000000000000"])
    name: str | None
    style: str
    template: str
    options: dict[str, Any]
    topics: list[str] | None
    mapping: dict[str, Any]
    conditions: list[dict[str, Any]]
    publisher_id: str | None
    api_key_id: str | None = Field(description="Whose limits count; once it has ended, what would render is `held`.")
    paused: bool
    paused_at: datetime | None
    previous_secret_until: datetime | None = Field(description="Until then the secret before this one is taken too.")
    created_at: datetime
    updated_at: datetime
    links: dict[str, str] = Field(description="`deliveries` is the address to give to the shop.")


class TriggerSecretBody(TriggerBody):
    """A trigger with its secret, which is shown with this answer alone."""

    secret: str = Field(description="To give to the shop.", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class TriggerPage(BaseModel):
    """Newest first."""

    data: list[TriggerBody]
    next_cursor: str | None


class TakenBody(BaseModel):
    """What became of a message: for the shop, which only wants to see that it is 2xx."""

    delivery_id: str | None = Field(description="null for a ping that nobody signed, which is not kept.")
    verdict: str = Field(description=_VERDICT)
    render_id: str | None
    duplicate: bool = Field(description="It came before; this is what became of it then.")


class TriggerDeliveryBody(BaseModel):
    """A message that came, and what became of it."""

    id: str = Field(examples=["tdl_01jz0000000000000000000000"])
    trigger_id: str
    topic: str | None
    verdict: str = Field(description=_VERDICT)
    code: str | None = Field(description="Why it is `refused` or `held`.")
    detail: str | None
    render_id: str | None = Field(description="Made by it, or standing for it.")
    external_ref: str | None = Field(description="What it is about.")
    revision: int | None
    product: dict[str, Any] = Field(description="Where that is in its shop.")
    replay_of: str | None
    duplicates: int = Field(description="How often it came again.")
    received_at: datetime
    sent_at: datetime | None = Field(description="As its source says.")
    tries: int
    retry_at: datetime | None = Field(
        description="When what is held is tried again; null while its trigger is paused, or has no key that is valid."
    )
    links: dict[str, str]


class TriggerDeliveryDetailBody(TriggerDeliveryBody):
    """A message with all that was kept of it."""

    headers: dict[str, str] = Field(description="Without signatures and other secrets.")
    body: str = Field(description="As it came; base64 where it is no UTF-8.")
    body_encoding: str = Field(description="`utf-8` or `base64`.")


class TriggerDeliveryPage(BaseModel):
    """Newest first."""

    data: list[TriggerDeliveryBody]
    next_cursor: str | None


class TrialBody(BaseModel):
    """What would become of a message, were its trigger not paused and its key neither ended nor at its limits; nothing
    was kept."""

    verdict: str = Field(description=_VERDICT)
    code: str | None
    detail: str | None
    topic: str | None
    external_ref: str | None
    revision: int | None
    product: dict[str, Any]
    template: str | None = Field(description="The version that would be filled.")
    prompt: str | None
    language: str | None
    variables: dict[str, Any]
    pictures: list[str]
    render_id: str | None = Field(description="Whose video is the same, where it is `unchanged`.")
