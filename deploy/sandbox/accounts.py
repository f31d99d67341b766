"""Users, their tokens and their credits."""

import secrets
import sqlite3
import time
from dataclasses import dataclass

from .database import Database
from .errors import out_of_credits, rate_limited, token_gone
from .settings import Settings

REGISTERED_PREFIX = "nmv_sandbox_"
WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class User:
    """Who a token belongs to. Credits are whole numbers; those of running turns are frozen."""

    id: str
    bind_id: str
    available: int
    frozen: int


class Accounts:
    """Tokens in, users out; and the only place that moves credits."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def anonymous_token(self, client_id: str) -> tuple[str, User, float]:
        """A new token for the client's one trial user: (token, user, expiry in Unix seconds).

        Raises 429 for a second token within 7 days where `anonymous_limit` is on.
        """
        now = time.time()
        user = self._find("client_id", client_id) or self._create("anonymous", client_id)
        if self._settings.anonymous_limit and self._database.number(
            "SELECT count(*) FROM tokens WHERE user_id = ? AND issued_at > ?", user.id, now - WEEK
        ):
            raise rate_limited(None)
        token, expires = f"nmv_usr_{secrets.token_urlsafe(24)}", now + self._settings.token_seconds
        self._database.insert("tokens", token=token, user_id=user.id, issued_at=now, expires_at=expires)
        return token, user, expires

    def user_of(self, token: str) -> User:
        """The token's user; a registered token is good from its first use. Raises 1001."""
        row = self._database.one("SELECT user_id, expires_at FROM tokens WHERE token = ?", token)
        if row is None and token.startswith(REGISTERED_PREFIX) and len(token) > len(REGISTERED_PREFIX):
            return self._register(token)
        if row is None or row["expires_at"] <= time.time():
            raise token_gone()
        return self.user(row["user_id"])

    def user(self, user_id: str) -> User:
        """The user with this id. Raises 1001."""
        user = self._find("id", user_id)
        if user is None:
            raise token_gone()
        return user

    def freeze(self, user: User, price: int) -> None:
        """Set the price of a turn aside. Raises 2001 where the balance does not cover it."""
        statement = "UPDATE users SET available = available - ?, frozen = frozen + ? WHERE id = ? AND available >= ?"
        if self._database.run(statement, price, price, user.id, price).rowcount == 0:
            raise out_of_credits(user.bind_id)

    def charge(self, user_id: str, price: int) -> None:
        """Frozen credits are spent."""
        self._database.run("UPDATE users SET frozen = frozen - ? WHERE id = ?", price, user_id)

    def refund(self, user_id: str, price: int) -> None:
        """Frozen credits are available again."""
        self._database.run(
            "UPDATE users SET frozen = frozen - ?, available = available + ? WHERE id = ?", price, price, user_id
        )

    def expire_tokens(self, registered: bool = False) -> int:
        """Every anonymous token issued so far ends now, and with `registered` those too; answers how many."""
        kept = "" if registered else " AND token NOT LIKE 'nmv!_sandbox!_%' ESCAPE '!'"
        return self._database.run(f"UPDATE tokens SET expires_at = 0 WHERE expires_at > 0{kept}").rowcount  # noqa: S608

    def expire(self, token: str) -> None:
        """This one anonymous token ends now; a registered one is refused once and stays good."""
        if not token.startswith(REGISTERED_PREFIX):
            self._database.run("UPDATE tokens SET expires_at = 0 WHERE token = ?", token)

    def _register(self, token: str) -> User:
        user = self._create("registered", None)
        self._database.insert("tokens", token=token, user_id=user.id, issued_at=time.time(), expires_at=4e9)
        return user

    def _create(self, kind: str, client_id: str | None) -> User:
        user = User(f"user_{secrets.token_hex(8)}", f"bind_{secrets.token_hex(8)}", self._settings.seed_credits, 0)
        self._database.insert(
            "users", id=user.id, kind=kind, client_id=client_id, bind_id=user.bind_id, available=user.available
        )
        return user

    def _find(self, column: str, value: str) -> User | None:
        row: sqlite3.Row | None = self._database.one(f"SELECT * FROM users WHERE {column} = ?", value)  # noqa: S608
        return None if row is None else User(row["id"], row["bind_id"], row["available"], row["frozen"])
