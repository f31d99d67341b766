"""How the sandbox says no: one exception, and a function for each refusal the contract names."""

from typing import Any


class Refused(Exception):
    """Anything but an ordinary answer; `done` where the work was done all the same."""

    done = False


class Refusal(Refused):
    """An answer that says no.

    `code` is the contract's code or None for an answer without one; `status` the HTTP status, or None where the
    `error_status` switch decides between 200 and the status that fits the code.
    """

    def __init__(
        self,
        code: int | None,
        message: str,
        *,
        status: int | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        html: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.data = data
        self.headers = headers or {}
        self.html = html


class Dropped(Refused):
    """The connection is to be closed without an answer."""


def bad_request(message: str) -> Refusal:
    """A request of the wrong shape: 400 as code and status."""
    return Refusal(400, message, status=400)


def token_gone() -> Refusal:
    """1001: the token is unknown or has expired."""
    return Refusal(1001, "token expired or invalid")


def session_gone() -> Refusal:
    """1002: no such session, or it belongs to somebody else."""
    return Refusal(1002, "session not found")


def out_of_credits(bind_id: str) -> Refusal:
    """2001: the balance does not cover the price; `data.bind_id` goes into the registration link."""
    return Refusal(2001, "insufficient credits", data={"bind_id": bind_id})


def unsupported_file(name: str) -> Refusal:
    """4001: the content is none of the accepted formats."""
    return Refusal(4001, f"unsupported file type: {name}")


def too_large(name: str) -> Refusal:
    """4002: above the size limit."""
    return Refusal(4002, f"file too large: {name}")


def fetch_failed(reason: str) -> Refusal:
    """4005: an upload by address could not be fetched."""
    return Refusal(4005, f"could not fetch the file: {reason}")


def draft_altered() -> Refusal:
    """4003: the draft is not what this session's state gave, number literals and unknown keys included."""
    return Refusal(4003, "the draft does not match the session's draft", status=400)


def draft_not_ready() -> Refusal:
    """4004: no track of the draft has a segment."""
    return Refusal(4004, "the draft has nothing to render", status=400)


def render_id_used() -> Refusal:
    """4090 under 409: an export id is good for one export."""
    return Refusal(4090, "render id was used before", status=409)


def render_unknown() -> Refusal:
    """4040 under 404: no export of this user has the id."""
    return Refusal(4040, "render not found", status=404)


def turn_running() -> Refusal:
    """409: two turns at once in one session lose updates, so the second is refused."""
    return Refusal(409, "a turn is already running in this session", status=409)


def no_subscription() -> Refusal:
    """402: the export is blocked; a subscription matter, not a matter of credits."""
    return Refusal(402, "export is not available on the current plan", status=402)


def rate_limited(retry_after: float | None) -> Refusal:
    """429, with or without `Retry-After` in seconds."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Refusal(429, "too many requests", status=429, headers=headers)
