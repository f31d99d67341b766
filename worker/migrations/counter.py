"""The server's count of transactions, which orders the feed of all events: a restored database may be ahead of it.

`events.transaction` is the count of the server that wrote the event. A dump restored into a server that begins anew
brings counts that are still to come there: such events are hidden until it gets so far, and new ones sort before them,
where a reader that has seen the old ones never looks.
"""

NEXT_EPOCH = """SELECT trunc(transaction::text::numeric / 4294967296)::bigint + 1 FROM events
    WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot()) ORDER BY transaction DESC LIMIT 1"""
"""The epoch (the upper 32 bits of the count) that puts the server past all its events; no row: it is past them."""

BEHIND = "its events come from a server that had counted further: some are hidden, and new ones would sort before them"


def remedy(epoch: int) -> str:
    """What to do about it."""
    step = f"stop PostgreSQL, run `pg_resetwal --epoch={epoch} DATA_DIRECTORY`, start it"
    return f"{step}: docs/operations.md, Back up and restore"


class CounterBehind(Exception):
    """Events written now would be in the wrong place for good."""

    def __init__(self, epoch: int) -> None:
        self.remedy = remedy(epoch)
        super().__init__(f"{BEHIND}; {self.remedy}")
