"""What a call can raise.

ClientError
├── ApiError           the service refused: status, code, message, help, errors, request_id, retry_after
│   ├── NotAuthorised  401, 403  the key is missing, wrong, or may not do this
│   ├── NotFound       404, 410  nothing is there (any more)
│   ├── Conflict       409, 412  it does not go with how things stand
│   ├── Invalid        other 4xx the request is wrong; `errors` names the fields
│   ├── RateLimited    429       too much at once; `retry_after` says for how long
│   └── ServerFault    5xx       it failed there, also after repeating
├── Unreachable        nothing answers at the address
├── NotTheService      something answers, but it is not this service
├── Unusable           an address, a key or a text that cannot be sent at all (a ValueError too)
├── TooLarge           a file over 200 MB; nothing was sent
├── Damaged            what was downloaded is not what the service says it made
├── StillRunning       `wait` ran out of time; the render goes on
└── BadSignature       a webhook that was not signed with the secret, or not now
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

UPLOAD_BYTES = 200 * 1000 * 1000
"""The largest file the service takes."""


class ClientError(Exception):
    """Base of what a call can raise; its text is a sentence for a person."""


class ApiError(ClientError):
    """The service refused.

    `status` (HTTP), `code` (stable, dotted), `message`, `help` (what to do), `errors` (`[{"pointer", "detail"}]`),
    `request_id` (for the service's logs), `retry_after` (seconds, or None).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        help: str = "",
        errors: Sequence[Mapping[str, Any]] = (),
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.status: int = status
        self.code: str = code
        self.message: str = message
        self.help: str = help
        self.errors: list[dict[str, Any]] = [dict(error) for error in errors]
        self.request_id: str = request_id
        self.retry_after: float | None = retry_after
        super().__init__(message)

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed by itself a little later."""
        return self.status >= 500 or self.status == 429 or self.code == "idempotency.in_flight"


class NotAuthorised(ApiError):
    """The key is missing, wrong, or may not do this."""


class NotFound(ApiError):
    """Nothing is there, or not any more."""


class Conflict(ApiError):
    """The call does not go with how things stand."""


class Invalid(ApiError):
    """The request itself is wrong."""


class RateLimited(ApiError):
    """Too many requests, renders in flight, or credits a day."""


class ServerFault(ApiError):
    """It failed in the service."""


class Unreachable(ClientError):
    """Nothing answers, also after trying again."""

    def __init__(self, base_url: str, cause: Exception) -> None:
        self.base_url: str = base_url
        super().__init__(f"nothing answers at {base_url} ({str(cause) or type(cause).__name__})")


class NotTheService(ClientError):
    """An answer that this service would not give."""

    def __init__(self, base_url: str) -> None:
        super().__init__(f"what answers at {base_url} is not this service; check the address")


class Unusable(ClientError, ValueError):
    """An argument for which there is no request."""


class TooLarge(ClientError):
    """The file is over the limit."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(f"{path} has {size:,} bytes; at most {UPLOAD_BYTES:,}: compress it, trim it, or split it")


class Damaged(ClientError):
    """The bytes' SHA-256 differs from the result's."""

    def __init__(self, render_id: str) -> None:
        super().__init__(f"the video of {render_id} arrived damaged; download it again")


class StillRunning(ClientError):
    """The time given to `wait` is over."""

    def __init__(self, render_id: str, seconds: float) -> None:
        super().__init__(f"{render_id} is not finished after {seconds:g} s; it goes on")


class BadSignature(ClientError):
    """Do not act on this webhook: its text says what is wrong with it."""


_KINDS: dict[int, type[ApiError]] = {
    **dict.fromkeys((401, 403), NotAuthorised),
    **dict.fromkeys((404, 410), NotFound),
    **dict.fromkeys((409, 412), Conflict),
    429: RateLimited,
}


class _Problem(BaseModel):
    """An `application/problem+json` body."""

    model_config = ConfigDict(extra="ignore")

    code: str = "http"
    title: str = ""
    detail: str = ""
    help: str = ""
    errors: list[dict[str, Any]] = []
    request_id: str = ""


def refusal(response: httpx.Response) -> ApiError:
    """The answer's problem, or, from something else on the way (a proxy, the storage), its status."""
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        problem = _Problem(title=f"the server answered {response.status_code} {response.reason_phrase}")
    if response.has_redirect_location:
        problem.help = f"Use the address that it points to: {response.headers['Location'][:200]}"
    status = response.status_code
    kind = ServerFault if status >= 500 else _KINDS.get(status, Invalid if status >= 400 else ApiError)
    return kind(
        status,
        problem.code,
        problem.detail or problem.title or f"status {status}",
        problem.help,
        problem.errors,
        problem.request_id,
        _retry_after(response.headers.get("Retry-After", "")),
    )


def _retry_after(text: str) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3)."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((moment - datetime.now(moment.tzinfo)).total_seconds(), 0.0)
