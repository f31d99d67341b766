"""What a reading counted, by name, as it is kept and shown."""

from collections import Counter

PRODUCTS = "products"  # in the source, those left out included
LEFT_OUT = "left_out"  # drafts, archived, out of stock, unless asked for
REJECTED = "rejected"  # rows that became nothing: each has a fatal problem
PROBLEMS = "problems"  # remarks included
NEW, CHANGED, AGAIN, UNCHANGED, GONE = "new", "changed", "again", "unchanged", "gone"
RENDERED, REUSED, UNDER_WAY = "rendered", "reused", "under_way"

NAMES = (
    PRODUCTS,
    LEFT_OUT,
    REJECTED,
    PROBLEMS,
    NEW,
    CHANGED,
    AGAIN,
    UNCHANGED,
    GONE,
    RENDERED,
    REUSED,
    UNDER_WAY,
)


def complete(counted: Counter[str]) -> dict[str, int]:
    """Every name, also those of which there was none."""
    return {name: counted[name] for name in NAMES}
