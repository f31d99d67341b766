"""The bodies of requests, checked strictly: a missing field or a wrong type is a 400."""

from typing import Literal, TypeVar

import msgspec
from starlette.requests import Request

from deploy.sandbox.errors import bad_request


class SessionBody(msgspec.Struct):
    """Create session."""

    task_name: str
    language: str


class ClaimBody(msgspec.Struct):
    """Claim link."""

    task_id: str
    session_id: str


class Part(msgspec.Struct):
    """A part of a message."""

    text: str


class NewMessage(msgspec.Struct):
    """A message."""

    parts: list[Part]
    role: str = "user"


class MessageBody(msgspec.Struct):
    """Send message."""

    app_name: Literal["nemo_agent"]
    user_id: Literal["me"]
    session_id: str
    new_message: NewMessage


class AddressBody(msgspec.Struct):
    """Upload by URL."""

    urls: list[str]
    source_type: Literal["url"]


class Output(msgspec.Struct):
    """What an export is to be."""

    format: Literal["mp4"]
    quality: Literal["low", "medium", "high"]


class ExportBody(msgspec.Struct, rename={"session_id": "sessionId"}):
    """Submit export; the draft's bytes are kept as they came."""

    id: str
    session_id: str
    draft: msgspec.Raw
    output: Output


Body = TypeVar("Body")


async def body_of(request: Request, shape: type[Body]) -> Body:
    """The request's JSON body. Raises 400 for another content type, and for what does not fit the shape."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise bad_request("the body has to be application/json")
    try:
        return msgspec.json.decode(await request.body(), type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(str(error)) from error
