"""What the remote backend's refusals ask of us, each named by what to do next.

RemoteError                  base; carries the facts
├── TryAgain                 network fault, 5xx: the same call again, later (only calls that are harmless to repeat)
│   └── RateLimited          429: wait `retry_after`, repeat once
├── TokenGone                1001, 1010, 1011, 401: get the token again, or wait for its owner
├── SessionGone              1002: a new session, the remote work from its start
├── AccountGone              not asked at all: the account that alone knows a session was removed
├── NeedsCredits             2001: wait for credits; `bind_id` makes the registration link
├── NeedsSubscription        402: the export waits for a subscription
├── ExportUnknown            404 for an export's id: it was never accepted, take a new id
├── Rejected                 understood and refused: the same again is refused again
│   ├── UnsupportedFile      4001: name the accepted formats
│   ├── FileTooLarge         4002: suggest compressing or trimming
│   ├── AssetUnreachable     an upload by URL refused for another reason
│   ├── IdTaken              this export id was used before: take another
│   └── ClientIdMissing      400 on the token call: make a client id, repeat
└── Unintelligible           an answer of no known shape
"""

from worker.remote.text import redact


class RemoteError(Exception):
    """A call to the backend that did not give what was asked.

    `call` names the method of `Remote`; `code` is the envelope's, `status` the HTTP one, either may be missing;
    `detail` is the backend's message, one bounded line without tokens and URL queries; `retry_after` is in seconds;
    `bind_id` identifies the account in a registration link.
    """

    def __init__(
        self,
        call: str,
        detail: str = "",
        *,
        code: int | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        bind_id: str | None = None,
    ) -> None:
        self.call = call
        self.detail = redact(detail)
        self.code = code
        self.status = status
        self.retry_after = retry_after
        self.bind_id = bind_id
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        facts = [f"HTTP {self.status}"] if self.status is not None else []
        facts += [f"code {self.code}"] if self.code is not None else []
        where = f"{self.call} ({', '.join(facts)})" if facts else self.call
        return f"{where}: {self.detail}" if self.detail else where

    def __reduce__(self) -> tuple[object, ...]:
        """Survives a process boundary with its facts; plain exceptions only keep their message."""
        return _again, (type(self), self.call, self.detail, self.code, self.status, self.retry_after, self.bind_id)


def _again(
    kind: type[RemoteError],
    call: str,
    detail: str,
    code: int | None,
    status: int | None,
    retry_after: float | None,
    bind_id: str | None,
) -> RemoteError:
    return kind(call, detail, code=code, status=status, retry_after=retry_after, bind_id=bind_id)


class TryAgain(RemoteError):
    """Network fault or the backend's own failure; the same call may succeed later."""


class RateLimited(TryAgain):
    """Too many calls; `retry_after` if the backend said how long."""


class TokenGone(RemoteError):
    """The token is expired or invalid."""


class SessionGone(RemoteError):
    """The session does not exist (any more)."""


class AccountGone(RemoteError):
    """Nothing can be asked any more: the account was removed, and no other one knows its sessions."""


class NeedsCredits(RemoteError):
    """The account's credits are spent."""


class NeedsSubscription(RemoteError):
    """Exports are blocked on the free plan: a matter of subscription, not of credits."""


class ExportUnknown(RemoteError):
    """The backend knows no export of this id."""


class Rejected(RemoteError):
    """Understood and refused; the same again would be refused again."""


class UnsupportedFile(Rejected):
    """Not one of the accepted file types."""


class FileTooLarge(Rejected):
    """Above the backend's limit of 200 MB."""


class AssetUnreachable(Rejected):
    """The backend could not fetch a URL it was given."""


class IdTaken(Rejected):
    """An export of this id was submitted before."""


class ClientIdMissing(Rejected):
    """The token call came without a client id the backend accepts."""


class Unintelligible(RemoteError):
    """The answer has no known shape."""
