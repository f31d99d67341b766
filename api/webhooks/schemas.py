"""What can be asked of webhooks."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api import limits
from api.moments import Moment
from api.schemas import Plain, Target
from api.webhooks import patterns
from api.webhooks.patterns import Patterns, Type
from worker.webhooks import signing

DAY_SECONDS = 24 * 3600
LONGEST_OVERLAP_SECONDS = 7 * DAY_SECONDS
SECRET_CHARACTERS = len("whsec_") + 88
"""64 bytes in base64."""


Secret = Annotated[str, StringConstraints(max_length=SECRET_CHARACTERS), AfterValidator(signing.checked)]
Description = Annotated[str, StringConstraints(max_length=limits.REFERENCE_CHARACTERS), Plain]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EndpointRequest(_Request):
    """An address that is to be told of events."""

    url: Target = Field(description="https, outside development.", examples=["https://shop.example/hooks"])
    events: Patterns = Field(default_factory=patterns.default)
    description: Description | None = Field(None, description="For people.", examples=["the shop"])
    secret: Secret | None = Field(None, description="That signs; null: one is made.")


_CHANGES = ("url", "events", "description", "enabled")


class EndpointChange(_Request):
    """What can be changed of an endpoint; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    url: Target | None = None
    events: Patterns | None = None
    description: Description | None = Field(None, description="null: none any more.")
    enabled: Annotated[bool, Field(strict=True)] | None = Field(
        None, description="false: nothing is sent there any more. true: also what it was disabled for is forgotten."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"give one of {', '.join(_CHANGES)}")
        return self

    def changes(self) -> dict[str, Any]:
        """What is to be changed of its row; only a description can be taken away."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name != "enabled"}
        return {name: value for name, value in given.items() if value is not None or name == "description"}


class RotateRequest(_Request):
    """How a secret is replaced."""

    overlap_seconds: int = Field(
        DAY_SECONDS,
        ge=0,
        le=LONGEST_OVERLAP_SECONDS,
        strict=True,
        description="For so long both secrets sign: the receiver can be changed without losing any. 0 after a leak.",
    )
    secret: Secret | None = Field(None, description="The next one; null: one is made.")


class TestRequest(_Request):
    """A test event."""

    __test__ = False  # no test of pytest's

    type: Type = Field("render.succeeded", description="As which it comes.")


class RedeliverRequest(_Request):
    """What is sent again."""

    since: Moment = Field(
        description="What was to be sent from this moment on, with its zone. What was never sent: of the last 30 days."
    )
    only: Literal["failed", "all"] = Field("failed", description="`all`: also what was delivered.")
