"""Everything the routes work with, put together once at the start."""

from dataclasses import dataclass

from starlette.requests import Request

from .accounts import Accounts, User
from .database import Database
from .errors import token_gone
from .exports import Compositor, Exports
from .ledger import Ledger
from .rules import Rules
from .sessions import Sessions
from .settings import Settings
from .turn import Turns
from .uploads import Uploads

ATTRIBUTION = ("X-Skill-Source", "X-Skill-Version", "X-Skill-Platform")
SOURCE, VERSION = "vivideo-ai-video-generator", "1.0.0"


@dataclass(frozen=True)
class Backend:
    """The nouns of the sandbox."""

    settings: Settings
    database: Database
    ledger: Ledger
    rules: Rules
    accounts: Accounts
    uploads: Uploads
    sessions: Sessions
    turns: Turns
    exports: Exports

    @classmethod
    def build(cls, settings: Settings, compositor: Compositor) -> "Backend":
        """Open the data directory and go on where it was."""
        database = Database(settings.data / "sandbox.sqlite")
        ledger, accounts = Ledger(database), Accounts(database, settings)
        uploads = Uploads(database, settings)
        sessions = Sessions(database, uploads)
        turns = Turns(database, settings, accounts, sessions)
        exports = Exports(database, settings, ledger, compositor)
        return cls(settings, database, ledger, Rules(database), accounts, uploads, sessions, turns, exports)


def backend_of(request: Request) -> Backend:
    """The backend this request came to."""
    backend: Backend = request.app.state.backend
    return backend


def base_of(request: Request) -> str:
    """The sandbox's own address as the client wrote it, without a slash at the end."""
    return str(request.base_url).rstrip("/")


def bearer_of(request: Request) -> str:
    """The bearer token. Raises 1001 where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise token_gone()
    return token.strip()


def attributed(request: Request) -> bool:
    """Whether the three attribution headers are there and right; a request without them is a violation."""
    source, version, platform = (request.headers.get(name, "") for name in ATTRIBUTION)
    right = source == SOURCE and version == VERSION and bool(platform)
    if not right:
        backend_of(request).ledger.violation("missing_attribution", f"{request.method} {request.url.path}")
    return right


def user_of(request: Request) -> User:
    """Who is calling. Raises 1001."""
    attributed(request)
    return backend_of(request).accounts.user_of(bearer_of(request))
