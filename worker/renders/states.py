"""Stages, statuses and the one table of moves between them."""

from enum import StrEnum


class Stage(StrEnum):
    """Where a render stands. Each names who ends it."""

    TOKEN = "token"  # noqa: S105 - admission: an account with a slot and a valid token; the dispatcher starts it
    SESSION = "session"  # a remote session is created for it
    UPLOAD = "upload"  # its assets go into the session
    GENERATE = "generate"  # the paid message is sent and its stream followed; ended by the stream's end
    LOOKUP = "lookup"  # the message may have been received: the state is read until that is known
    VERIFY = "verify"  # the draft is read until it stands still
    EXPORT = "export"  # an export id is on disk and submitted
    POLL = "poll"  # export accepted; the poll batches end it
    STORE = "store"  # the file is fetched, probed and kept


class Status(StrEnum):
    """What the outside sees."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Reason(StrEnum):
    """Why a render waits."""

    CREDITS = "credits"
    SUBSCRIPTION = "subscription"
    RATE_LIMIT = "rate_limit"
    TOKEN = "token"  # noqa: S105 - a reason's name
    BACKEND = "backend"
    PAUSED = "paused"
    SLOT = "slot"
    SESSION = "session"


class Charge(StrEnum):
    """What is known of the paid message's charge."""

    NONE = "none"
    INCURRED = "incurred"
    UNKNOWN = "unknown"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.EXPIRED})

ORDER = (
    Stage.TOKEN,
    Stage.SESSION,
    Stage.UPLOAD,
    Stage.GENERATE,
    Stage.VERIFY,
    Stage.EXPORT,
    Stage.POLL,
    Stage.STORE,
)
"""The way of a render that meets no trouble. LOOKUP stands beside it, between GENERATE and VERIFY."""

QUEUE_OF = {
    Stage.TOKEN: "io",
    Stage.SESSION: "io",
    Stage.UPLOAD: "io",
    Stage.GENERATE: "stream",
    Stage.LOOKUP: "io",
    Stage.VERIFY: "io",
    Stage.EXPORT: "io",
    Stage.POLL: "io",
    Stage.STORE: "media",
}
"""Streams have workers of their own, so that they starve nobody; decoding video has processes of its own."""

_ENDS: frozenset[Stage | Status] = frozenset({Status.FAILED, Status.CANCELED, Status.EXPIRED})

MOVES: dict[Stage, frozenset[Stage | Status]] = {
    Stage.TOKEN: frozenset({Stage.SESSION}) | _ENDS,
    Stage.SESSION: frozenset({Stage.UPLOAD, Stage.GENERATE}) | _ENDS,
    # Back to SESSION: the session was lost before anything paid was sent.
    Stage.UPLOAD: frozenset({Stage.GENERATE, Stage.SESSION}) | _ENDS,
    Stage.GENERATE: frozenset({Stage.VERIFY, Stage.LOOKUP, Stage.SESSION}) | _ENDS,
    # Back to SESSION: not applied, and the request asked for a new attempt, which takes a new session.
    Stage.LOOKUP: frozenset({Stage.VERIFY, Stage.SESSION}) | _ENDS,
    Stage.VERIFY: frozenset({Stage.EXPORT, Stage.LOOKUP}) | _ENDS,
    # EXPORT to STORE: asked by id after a takeover, the export turns out to be finished.
    # EXPORT to EXPORT: it turns out to have failed, or is refused at once; one new export.
    Stage.EXPORT: frozenset({Stage.POLL, Stage.STORE, Stage.EXPORT}) | _ENDS,
    # Back to EXPORT: failed or lost, one new export.
    Stage.POLL: frozenset({Stage.STORE, Stage.EXPORT}) | _ENDS,
    # Back to EXPORT: the finished file is gone or broken, exports are free.
    Stage.STORE: frozenset({Status.SUCCEEDED, Stage.EXPORT}) | _ENDS,
}


class IllegalMove(Exception):
    """A bug in a stage: it asked for a move that the table does not have."""

    def __init__(self, render_id: str, *, leaving: Stage, to: Stage | Status) -> None:
        super().__init__(f"{render_id} cannot go from {leaving.value} to {to.value}")


def check_move(render_id: str, leaving: Stage, to: Stage | Status) -> None:
    """Raises IllegalMove unless the table has the move."""
    if to not in MOVES[leaving]:
        raise IllegalMove(render_id, leaving=leaving, to=to)
