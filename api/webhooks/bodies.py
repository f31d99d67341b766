"""What answers hold of webhooks."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class DisabledBody(BaseModel):
    """Why nothing is sent to an endpoint, and what to do about it."""

    at: datetime
    reason: str = Field(description="`asked`, `gone` (it answered 410) or `failing` (nothing was taken for days).")
    remedy: str


class EndpointHealthBody(BaseModel):
    """How an endpoint does."""

    failing_since: datetime | None = Field(description="The first failed try since the last that was taken.")
    quiet_until: datetime | None = Field(description="A 429 or 503 asked for it: nothing is sent there before.")
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_seconds: float | None = Field(description="How long the last try took; above 5 s one is sent at a time.")


class CountsBody(BaseModel):
    """Deliveries of the last 24 hours by state; not `complete`: the newest 10,000 of them, in a list 500."""

    pending: int
    delivered: int
    failed: int
    superseded: int
    complete: bool


class RedeliveredBody(BaseModel):
    """How many are sent again."""

    redelivered: int = Field(description="So far.")
    state: Literal["under_way", "done"] = Field(
        description="`under_way`: there are more than are begun at once; `redelivery` of the endpoint goes on to count."
    )


class RedeliveryBody(RedeliveredBody):
    """The last redelivery that was asked for."""

    since: datetime
    only: Literal["failed", "all"]
    asked_at: datetime


class EndpointBody(BaseModel):
    """An address that is told of events."""

    id: str = Field(examples=["whe_01jz0000000000000000000000"])
    kind: str = Field(description="`standing`, or `render`: of the renders that name its address.")
    url: str = Field(description="Without what stands behind a `?`, which may be a secret.")
    description: str | None
    events: list[str] = Field(description="Empty where each render says it.")
    enabled: bool
    disabled: DisabledBody | None
    health: EndpointHealthBody
    last_day: CountsBody
    redelivery: RedeliveryBody | None = Field(description="How far the last `redeliver` is.")
    previous_secret_until: datetime | None = Field(description="Until then the secret before this one signs too.")
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]


class EndpointSecretBody(EndpointBody):
    """An endpoint with the secret that signs what it gets."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class SecretBody(BaseModel):
    """What signs for an endpoint: during a rotation two."""

    secret: str
    previous_secret: str | None
    previous_secret_until: datetime | None


class EndpointPage(BaseModel):
    """Newest first."""

    data: list[EndpointBody]
    next_cursor: str | None


class DeliveryBody(BaseModel):
    """An event on its way to an endpoint; its id is the `webhook-id` that the receiver sees."""

    id: str = Field(examples=["msg_01jz0000000000000000000000"])
    endpoint_id: str
    type: str = Field(examples=["render.succeeded"])
    subject: str = Field(description="The render, batch or endpoint that the event is about.")
    sequence: int = Field(description="The event's number.")
    final: bool
    test: bool
    state: str = Field(
        description="`pending`, `delivered`, `failed` (for good), or `superseded` by the render's final event."
    )
    tries: int
    next_try_at: datetime | None = Field(description="null once it is over; not before the endpoint's `quiet_until`.")
    last_status: int | None = Field(description="What was answered to the last try.")
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None
    links: dict[str, str]


class DeliveryPage(BaseModel):
    """Newest first."""

    data: list[DeliveryBody]
    next_cursor: str | None


class TryBody(BaseModel):
    """One try: what was sent, what was answered, how long it took."""

    number: int
    started_at: datetime
    seconds: float
    status: int | None = Field(description="null: there was no answer.")
    error: str | None = Field(description="Why it counts as failed.", examples=["address.timeout"])
    request_headers: dict[str, Any]
    answer_headers: dict[str, Any]
    answer: str | None = Field(description="Its beginning, up to 4 KiB.")


class DeliveryDetailBody(DeliveryBody):
    """A delivery with what was sent and every try."""

    body: str = Field(description="As it is sent, to the byte.")
    attempts: list[TryBody]
