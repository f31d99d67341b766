"""The trial's identity is one per installation: what the token call answers never makes a second one, but for the one
answer that asks for it, and that only before there was a token."""

from typing import Any

import httpx
import pytest

from tests.accounts.conftest import accounts, install, now
from tests.stack import Stack, until
from worker.accounts import tokens
from worker.database import transact
from worker.remote.client import Remote
from worker.remote.errors import ClientIdMissing, NeedsCredits, RateLimited, RemoteError


def token(remote: Remote) -> str:
    return tokens.bearer(remote, accounts()[0], now())


def client_id() -> str:
    found = accounts()[0].client_id
    assert found is not None
    return found


REFUSALS: dict[str, tuple[dict[str, Any], type[RemoteError]]] = {
    "429": ({"do": "rate_limited"}, RateLimited),
    "2001": ({"do": "no_credits"}, NeedsCredits),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_limit_or_a_spent_balance_makes_no_second_identity(backend: Stack, remote: Remote, name: str):
    """The client id stays before the first token and after it; the backend never sees another."""
    rule, error = REFUSALS[name]
    install()
    mine = client_id()
    for _ in range(2):
        backend.rule(on="token", **rule)
        with pytest.raises(error):
            token(remote)
        assert client_id() == mine
        if name == "429":
            with pytest.raises(tokens.NotNow):  # nobody asks again before the pause is over
                token(remote)
            until(lambda: (until_when := accounts()[0].paused_until) is not None and until_when <= now())
        token(remote)
        httpx.post(f"{backend.sandbox}/_sandbox/expire-tokens")
        transact(lambda session: tokens.store.refuse_token(session, accounts()[0].id, accounts()[0].token_version))
    token(remote)
    assert client_id() == mine
    assert [user["client_id"] for user in backend.ledger()["users"]] == [mine]


def test_a_client_id_that_is_not_taken_is_replaced_before_the_first_token_only(backend: Stack, remote: Remote):
    """400 before: another is made, and the call works. 400 after: the identity stays."""
    install()
    first = client_id()
    backend.rule(on="token", do="http_status", status=400)
    with pytest.raises(ClientIdMissing):
        token(remote)
    second = client_id()
    assert second != first
    token(remote)
    transact(lambda session: tokens.store.refuse_token(session, accounts()[0].id, accounts()[0].token_version))
    backend.rule(on="token", do="http_status", status=400)
    with pytest.raises(ClientIdMissing):
        token(remote)
    assert client_id() == second
