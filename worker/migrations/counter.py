"""The server's count of transactions, which orders the feed of all events: a restored database may be ahead of it.

`events.transaction` is the count of the server that wrote the event. A dump restored into a server that begins anew
brings counts that are still to come there: such events are hidden until it gets so far, and new ones sort before them,
where a reader that has seen the old ones never looks. So it is with the places of the relays, which are such readers.
"""

NEXT_EPOCH = """SELECT trunc(ahead.transaction::text::numeric / 4294967296)::bigint + 1 FROM (
        (SELECT transaction FROM events ORDER BY transaction DESC LIMIT 1)
        UNION ALL (SELECT transaction FROM relays ORDER BY transaction DESC LIMIT 1)) AS ahead
    WHERE ahead.transaction >= pg_snapshot_xmax(pg_current_snapshot())
        AND ahead.transaction IS DISTINCT FROM pg_current_xact_id_if_assigned()
    ORDER BY ahead.transaction DESC LIMIT 1"""
"""The epoch (the upper 32 bits of the count) that puts the server past all of them; no row: it is past them. The
relays are made by a migration: their first place is the very transaction that may be asking here."""

BEHIND = "its events or relays come from a server that had counted further: what is new would sort before them, unseen"


def remedy(epoch: int) -> str:
    """What to do about it."""
    step = f"stop PostgreSQL, run `pg_resetwal --epoch={epoch} DATA_DIRECTORY`, start it"
    return f"{step}: docs/operations.md, Back up and restore"


class CounterBehind(Exception):
    """Events written now would be in the wrong place for good."""

    def __init__(self, epoch: int) -> None:
        self.remedy = remedy(epoch)
        super().__init__(f"{BEHIND}; {self.remedy}")
