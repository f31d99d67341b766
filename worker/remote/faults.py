"""The one edge where the backend's refusals become ours.

Errors come as an HTTP status, as a `code` in the envelope (under HTTP 200 too), as `error`, as `success: false`, or as
several of these; where both a code and a status are there, the code outranks.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from worker.remote.errors import (
    AssetUnreachable,
    ClientIdMissing,
    ExportUnknown,
    FileTooLarge,
    IdTaken,
    NeedsCredits,
    NeedsSubscription,
    RateLimited,
    Rejected,
    RemoteError,
    SessionGone,
    TokenGone,
    TryAgain,
    UnsupportedFile,
)
from worker.remote.text import redact

Object = dict[str, Any]

_BY_NUMBER: dict[int, type[RemoteError]] = {
    1001: TokenGone,
    1010: TokenGone,
    1011: TokenGone,
    401: TokenGone,
    1002: SessionGone,
    2001: NeedsCredits,
    402: NeedsSubscription,
    4001: UnsupportedFile,
    4002: FileTooLarge,
    413: FileTooLarge,
    415: UnsupportedFile,
    429: RateLimited,
    408: TryAgain,
    425: TryAgain,
}
_BY_CALL = frozenset({400, 404, 409})
"""Understood too, but what they mean is told by the call and the words."""
EXPORT_CALLS = frozenset({"submit_export", "poll_export", "cancel_export", "open_fallback_download"})
_SESSION_MISSING = re.compile(r"(?i)\bsession\b.*\b(not found|does not exist|unknown|expired)|会话.*不存在")
_TAKEN = re.compile(r"(?i)already|\bexists\b|duplicate|\btaken\b|\bused\b|conflict|已存在|重复|已使用")
_CLIENT_ID = re.compile(r"(?i)client[-_ ]?id")
_BIND = re.compile(r"[?&]bind=([\w-]+)")
BIND_KEYS = ("bind_id", "bindId", "bind", "bind_code", "bindCode")
_FAILURE_WORDS = frozenset({"error", "fail", "failed", "failure"})


LONGEST_RETRY_AFTER = 86400.0
"""Seconds: a header that asks for more than a day is a mistake."""


def decoded(body: bytes) -> object:
    """The JSON value, or None where the body is no JSON (an error page, an empty answer)."""
    try:
        return json.loads(body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def fault(call: str, status: int, body: object, headers: Mapping[str, str], *, secret: str = "") -> RemoteError | None:
    """The refusal that an answer is, or None where it is none.

    `body` is the decoded JSON (None where there was none), `headers` have lower-case names or ignore case, `secret` is
    the token that must not come back in the detail.
    """
    answer = cast(Object, body) if isinstance(body, dict) else {}
    code = code_of(answer)
    if code == 0 and not _says_failure(call, answer):
        return None
    if not code and status < 400 and not _says_failure(call, answer):
        return None
    detail = redact(_detail(answer), secret)
    kind = _kind(call, code or None, status, detail)
    return kind(
        call,
        detail,
        code=code or None,
        status=status,
        retry_after=_retry_after(answer, headers) if issubclass(kind, TryAgain) else None,
        bind_id=bind_id(answer),
    )


def of_code(call: str, code: int, detail: str) -> RemoteError:
    """The refusal that a code alone is, as one told in the middle of an event stream."""
    return _kind(call, code, 200, detail)(call, detail, code=code)


def code_of(answer: Object) -> int | None:
    """The envelope's code as a number, 0 for success; None where the answer has none."""
    error = answer.get("error")
    nested = cast(Object, error) if isinstance(error, dict) else {}
    for holder in (answer, nested):
        for key in ("code", "error_code", "errorCode"):
            value = holder.get(key)
            if isinstance(value, bool):
                continue
            if isinstance(value, int | float):
                return int(value)
            if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value.strip()):
                return int(value)
    return None


def is_known(number: int) -> bool:
    """Whether an envelope's code or an HTTP status has a meaning here."""
    return number in _BY_NUMBER or number in _BY_CALL or 500 <= number <= 599


def unknown_code(status: int, answer: Object) -> tuple[str, str] | None:
    """`code` (or, where it has none, `HTTP`) and the number or word that no rule here knows; None where one does."""
    code, word = code_of(answer), answer.get("code")
    if not code and isinstance(word, str) and word.strip("0"):
        return "code", word
    number = code or status
    if is_known(number) or (not code and number < 300):
        return None
    return ("code", str(code)) if code else ("HTTP", str(status))


def bind_id(answer: object) -> str | None:
    """The id for `?bind=`, wherever the answer holds it: under one of its names, or in a registration link."""
    for key, value in _scalars(answer, 0):
        if key in BIND_KEYS and value:
            return value
        found = _BIND.search(value)
        if found:
            return found[1]
    return None


def _scalars(value: object, depth: int) -> Iterator[tuple[str, str]]:
    """Short texts and numbers with their keys, a few levels deep: enough for an envelope, too little for a draft."""
    if not isinstance(value, dict) or depth > 3:
        return
    for key, inner in cast(Object, value).items():
        if isinstance(inner, str | int) and not isinstance(inner, bool):
            yield key, str(inner)[:2000]
        elif key != "draft":
            yield from _scalars(inner, depth + 1)


def _says_failure(call: str, answer: Object) -> bool:
    """An error without a number. An export's own `status: failed` is its state, not the call's failure."""
    if answer.get("success") is False:
        return True
    code = answer.get("code")
    if isinstance(code, str) and code and code_of(answer) is None:
        return code.lower() not in ("ok", "success")
    status = answer.get("status")
    if call in EXPORT_CALLS and isinstance(status, str):
        return False
    return bool(answer.get("error")) or (isinstance(status, str) and status.lower() in _FAILURE_WORDS)


def _kind(call: str, code: int | None, status: int, detail: str) -> type[RemoteError]:
    for number in (code, status if code not in _BY_NUMBER else None):
        if number is None or number < 400:
            continue
        if number == 400 and call == "anonymous_token":
            return ClientIdMissing
        if number == 404 and call in EXPORT_CALLS:
            return ExportUnknown
        if number == 404 and _SESSION_MISSING.search(detail):
            return SessionGone
        if number == 409 and call == "submit_export":
            return IdTaken
        if number in _BY_NUMBER:
            return _BY_NUMBER[number]
        if 500 <= number <= 599:
            return TryAgain
    return _rejected(call, detail)


def _rejected(call: str, detail: str) -> type[RemoteError]:
    """A refusal without a number of its own: what it concerns is told by the call and the words."""
    if call == "upload_urls":
        return AssetUnreachable
    if call == "submit_export" and _TAKEN.search(detail):
        return IdTaken
    if call == "anonymous_token" and _CLIENT_ID.search(detail):
        return ClientIdMissing
    return Rejected


def _detail(answer: Object) -> str:
    error = answer.get("error")
    nested = cast(Object, error) if isinstance(error, dict) else {}
    for holder, keys in (
        (answer, ("message", "msg", "detail", "error", "errorMessage")),
        (nested, ("message", "detail")),
    ):
        for key in keys:
            value = holder.get(key)
            if isinstance(value, str) and value.strip():
                return value
    code = answer.get("code")
    return code if isinstance(code, str) else ""


def _retry_after(answer: Object, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: the header as a number or as a date, or the body's own field."""
    for value in (headers.get("retry-after"), answer.get("retry_after"), answer.get("retryAfter")):
        try:
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                return min(max(0.0, float(value)), LONGEST_RETRY_AFTER)
        except ValueError:
            pass
        try:
            if isinstance(value, str):
                when = parsedate_to_datetime(value)
                when = when if when.tzinfo else when.replace(tzinfo=UTC)
                return min(max(0.0, (when - datetime.now(UTC)).total_seconds()), LONGEST_RETRY_AFTER)
        except ValueError:
            continue
    return None
