"""What a key may do."""

from collections.abc import Sequence
from enum import StrEnum


class Scope(StrEnum):
    """One permission; a key without any in its list has all of them."""

    RENDERS_READ = "renders:read"  # renders, their events and files
    RENDERS_WRITE = "renders:write"  # ask for renders, change, cancel, retry, delete them: spends credits
    UPLOADS_WRITE = "uploads:write"  # give files, look at them, throw them away
    WEBHOOKS_WRITE = "webhooks:write"  # where events go: endpoints and their secrets, sending again
    ACCOUNT_READ = "account:read"  # balances, accounts, usage, takeovers


EVERYTHING = frozenset(Scope)


def granted(listed: Sequence[str]) -> frozenset[Scope]:
    """What a key's list comes to. A word that is no scope grants nothing; a list of such words is not an empty one."""
    return EVERYTHING if not listed else frozenset(scope for scope in Scope if scope in listed)
