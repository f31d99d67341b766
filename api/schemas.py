"""What a request may hold. Unknown fields are refused, and so are those that do nothing yet: none is ignored."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from api import limits
from api.webhooks import patterns
from api.webhooks.patterns import Patterns
from worker.addresses.form import checked_form, checked_target
from worker.media.quality.asked import Aspect
from worker.templates import limits as templates
from worker.templates.store import NAME, REFERENCE
from worker.templates.variables import Name, Variable, reserved


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("the text holds a NUL character")
    return text


Plain = AfterValidator(_plain)
"""No NUL (PostgreSQL has none). Lone surrogates are refused by pydantic itself."""

Prompt = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=limits.PROMPT_CHARACTERS), Plain
]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=limits.TAG_CHARACTERS), Plain]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=limits.REFERENCE_CHARACTERS), Plain]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
Url = Annotated[str, StringConstraints(max_length=limits.URL_CHARACTERS), AfterValidator(checked_form)]
Target = Annotated[str, StringConstraints(max_length=limits.URL_CHARACTERS), AfterValidator(checked_target)]
"""An address that this service asks."""
UploadId = Annotated[str, StringConstraints(pattern=r"^upl_[0-9a-z]{26}$")]


def _bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    """Anything JSON, as long as PostgreSQL can hold it and nobody stores a library in it."""
    _check_depth(metadata, limits.METADATA_DEPTH)
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("a text holds half a surrogate pair, which is no character") from None
    except ValueError:
        raise ValueError("JSON has no infinite numbers and no NaN") from None
    if size > limits.METADATA_BYTES:
        raise ValueError(f"{size} bytes as JSON; at most {limits.METADATA_BYTES}")
    # json.dumps writes NUL as an escape; a backslash before it would be doubled.
    if "\\u0000" in text.replace("\\\\", ""):
        raise ValueError("a text holds a NUL character")
    return metadata


def _check_depth(value: Any, left: int) -> None:
    if left < 0:
        raise ValueError(f"nested deeper than {limits.METADATA_DEPTH} levels")
    inner: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_depth(one, left - 1)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _given(*names: str) -> list[Any]:
    """Schemas of which each demands one of these fields: the rules across fields, for the document."""
    return [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]


class Asset(_Request):
    """A picture, clip or sound: an address that the backend fetches, or a file uploaded before."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _given("url", "upload")})

    url: Url | None = Field(None, examples=["https://shop.example/shoe.jpg"])
    upload: UploadId | None = Field(None, examples=["upl_01jz0000000000000000000000"])

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.url is None) == (self.upload is None):
            raise ValueError("give either `url` or `upload`")
        return self


class Output(_Request):
    """What is exported; the backend knows this one way."""

    format: Literal["mp4"] = "mp4"
    quality: Literal["high"] = "high"


class Expect(_Request):
    """What the finished video is compared with."""

    duration_seconds: Annotated[float, Field(gt=0, le=limits.LONGEST_VIDEO_SECONDS, strict=True)] | None = None
    aspect: Aspect | None = Field(
        None, description="Width to height; `portrait` and `landscape` only say which of them is longer."
    )
    silent: bool = Field(False, strict=True, description="A video without sound is what is asked for.")


Metadata = Annotated[
    dict[str, Any],
    AfterValidator(_bounded),
    Field(description="Kept and returned: up to 16 KiB as JSON, 8 levels deep."),
]
Priority = Literal["high", "normal", "low"]
TemplateRef = Annotated[str, StringConstraints(pattern=REFERENCE)]
Variables = Annotated[
    dict[str, Any],
    Field(max_length=templates.VARIABLES, description="The template's, by name: texts, numbers, booleans, lists."),
]


_SOURCES: dict[str, Any] = {"oneOf": _given("prompt", "template")}


class VideoRequest(_Request):
    """A video to be made, alone or as one of many."""

    model_config = ConfigDict(json_schema_extra=_SOURCES)

    template: TemplateRef | None = Field(
        None, description="In the place of a prompt: id or name, with `@3` that version, else the newest."
    )
    prompt: Prompt | None = Field(
        None, examples=["create a 30-second promotional video about our new running shoe"], validate_default=True
    )
    variables: Variables = {}
    language: Language | None = Field(
        None, description="Of the video (`en`, `zh`); null: the template's, or detected from the prompt."
    )
    assets: list[Asset] = Field(default=[], max_length=limits.ASSETS)
    output: Output = Output()
    priority: Priority = "normal"
    on_unconfirmed: Literal["fail", "retry"] = Field(
        "fail",
        description="Where nobody can know whether the paid message was received: give up, or pay again.",
    )
    quality_gate: Literal["report", "fail", "off"] = Field(
        "report",
        description="The finished video is examined. `report`: `result.quality` says what was found; `fail`: a video"
        " with something wrong ends the render as failed, the video kept; `off`: it is not looked at.",
    )
    expect: Expect | None = Field(
        None,
        description="What the examination compares with; null: the length and shape that the prompt plainly asks for, a"
        " template's in its own words.",
    )
    deadline_seconds: Annotated[float, Field(ge=1, le=limits.LONGEST_DEADLINE_SECONDS, strict=True)] | None = Field(
        None,
        description="A run not over by then ends as `expired`. Waiting for credits, a subscription or a pause does not"
        " count; null: it may take as long as it takes.",
    )
    external_ref: Reference | None = Field(None, description="Your own reference.", examples=["sku-1"])
    tags: list[Tag] = Field(default=[], max_length=limits.TAGS, description="Left out: the template's.")
    metadata: Metadata = {}

    @field_validator("prompt")
    @classmethod
    def _one_source(cls, prompt: str | None, others: ValidationInfo) -> str | None:
        if "template" in others.data and (prompt is None) == (others.data["template"] is None):
            raise ValueError("give either `prompt` or `template`")
        return prompt

    @field_validator("variables")
    @classmethod
    def _of_a_template(cls, variables: dict[str, Any], others: ValidationInfo) -> dict[str, Any]:
        if variables and others.data.get("prompt") is not None:
            raise ValueError("they are for a `template`; a `prompt` has none")
        return variables


class Webhook(_Request):
    """Where one render's events go, beside the standing endpoints."""

    url: Target = Field(description="https, outside development.", examples=["https://shop.example/hooks"])
    events: Patterns = Field(default_factory=patterns.default_of_render)


class RenderRequest(VideoRequest):
    """A video to be made."""

    model_config = ConfigDict(
        json_schema_extra=_SOURCES | {"if": _given("revision")[0], "then": _given("external_ref")[0]}
    )

    revision: Annotated[int, Field(ge=0, le=limits.LARGEST_REVISION, strict=True)] | None = Field(
        None,
        description="Of what `external_ref` names, a number that grows. Older than one that is known: refused. Else it"
        " takes the place of one that is still queued, and begins when none is at work.",
        examples=[3],
    )
    webhook: Webhook | None = Field(
        None,
        description="Where this render's events go, beside the standing endpoints; signed with the secret of the"
        " endpoint that `webhook.endpoint_id` of the answer names. Renders of a batch have none of their own.",
    )

    @field_validator("revision")
    @classmethod
    def _of_a_reference(cls, revision: int | None, others: ValidationInfo) -> int | None:
        if revision is not None and "external_ref" in others.data and others.data["external_ref"] is None:
            raise ValueError("it is a revision of an `external_ref`: give that too")
        return revision


class RenderChange(_Request):
    """What can still be changed while a render is queued; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"anyOf": _given("priority", "metadata")})

    priority: Priority | None = None
    metadata: Metadata | None = Field(None, description="Replaces the old one as a whole.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.priority is None and self.metadata is None:
            raise ValueError("give `priority`, `metadata`, or both")
        return self


class RetryRequest(_Request):
    """How to start the next run."""

    force: bool = Field(
        default=False,
        strict=True,
        description="From the beginning, with a new message that is charged, whatever became of the run before.",
    )


def _unreserved(variables: dict[str, Variable]) -> dict[str, Variable]:
    if taken := [name for name in variables if reserved(name)]:
        raise ValueError(f"{taken[0]} is a word of the language: call it otherwise")
    return variables


class TemplateContent(_Request):
    """A template's next version; what is left out is empty in it."""

    prompt: Annotated[str, StringConstraints(min_length=1, max_length=limits.PROMPT_CHARACTERS), Plain] = Field(
        description="The text, in the language of docs/templates.md.",
        examples=["a {{ seconds }}-second video about {{ title }}"],
    )
    variables: Annotated[dict[Name, Variable], AfterValidator(_unreserved)] = Field(
        default={}, max_length=templates.VARIABLES, description="What it is filled with, by name."
    )
    language: Language | None = Field(None, description="Of the renders that name none.")
    tags: list[Tag] = Field(default=[], max_length=limits.TAGS, description="Of the renders that name none.")


class TemplateRequest(TemplateContent):
    """A template to be made."""

    name: Annotated[str, StringConstraints(pattern=NAME)] = Field(
        description="Small letters, digits, `.`, `_` and `-`; unique among yours, and never changed.",
        examples=["promo"],
    )


class PreviewRequest(_Request):
    """What to fill a template with."""

    variables: Variables = {}
    version: Annotated[int, Field(ge=1, le=limits.LARGEST_NUMBER, strict=True)] | None = Field(
        None, description="Its number; null: the newest."
    )
