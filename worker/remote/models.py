"""What the backend's answers hold, read tolerantly.

Unknown fields are ignored, numbers may come as text and text as numbers, what is optional may be missing. Secrets
(tokens, signed URLs) stay out of every repr.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from worker.remote import noticing
from worker.remote.text import clean


def _moment(value: object, info: ValidationInfo) -> object:
    """ISO text or epoch seconds or milliseconds; anything else is no moment rather than an error."""
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float | str):
            number = float(value)
            return datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return _unread(value, info)


def _number(value: object, info: ValidationInfo) -> object:
    """A number or nothing: optional facts such as a width are never worth refusing an answer for."""
    try:
        return float(value) if isinstance(value, int | float | str) else _unread(value, info)
    except ValueError:
        return _unread(value, info)


def _unread(value: object, info: ValidationInfo) -> None:
    """Nothing, noticed where something was there. The context is the call."""
    if value not in (None, ""):
        noticing.shape(str(info.context or "*"), f"{info.field_name} unread", noticing.kind_of(value))


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Number = Annotated[float | None, BeforeValidator(_number)]
Words = Annotated[str, BeforeValidator(_cleaned)]


class Wire(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, frozen=True, populate_by_name=True)


class AnonymousToken(Wire):
    """A trial's token, valid for 7 days; `credits` at its start (100)."""

    token: str = Field(min_length=1, repr=False)
    credits: Number = None
    expires_at: Moment = None
    user_id: Words | None = None


class SessionIds(Wire):
    """A new session; the ids are text even where they look like big integers."""

    task_id: str = Field(min_length=1, validation_alias=AliasChoices("task_id", "taskId"))
    session_id: str = Field(min_length=1, validation_alias=AliasChoices("session_id", "sessionId"))
    bind_id: str | None = None


class Claim(Wire):
    """The claim call's answer; `expires_in` in seconds."""

    claim_token: str = Field(min_length=1, repr=False)
    expires_in: Number = None


class ClaimLink(Wire):
    """Opens the session in the backend's own web page; `expires_in` in seconds."""

    url: str = Field(repr=False)
    expires_in: float | None = None


class UploadedFile(Wire):
    """A file the session holds; `duration` in the backend's unit, sizes in pixels."""

    filename: Words = Field("", validation_alias=AliasChoices("filename", "file_name", "name"))
    file_type: Words = Field("", validation_alias=AliasChoices("file_type", "fileType", "type"))
    cdn_url: str | None = Field(None, repr=False, validation_alias=AliasChoices("cdn_url", "cdnUrl", "url"))
    duration: Number = None
    width: Number = None
    height: Number = None


class Balance(Wire):
    """Credits; those in use by running work are `frozen`."""

    available: float
    frozen: float = 0
    total: float | None = None


ExportState = Literal["pending", "processing", "completed", "failed"]


class ExportStatus(Wire):
    """How far an export is: `progress` from 0 to 1; `url` once completed (signed: fetch it without our headers)."""

    status: ExportState
    progress: float | None = None
    url: str | None = Field(None, repr=False)
    detail: str = ""
    export_id: str | None = None
