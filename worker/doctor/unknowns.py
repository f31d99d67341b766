"""What the backend ever sent that this version does not know: this examination's share written down, all of it read."""

from collections.abc import Iterator

from worker.database import transact
from worker.doctor.findings import Case, Finding, ok, warn
from worker.remote import surprises

NAME = "surprises"


def look(case: Case) -> Iterator[Finding]:
    surprises.flush()
    case.surprises = list(transact(surprises.seen, retry_for=0))
    if not case.surprises:
        yield ok(NAME, "nothing unknown was met at the backend so far")
        return
    calls = ", ".join(sorted({one.place for one in case.surprises}))
    remedy = "the client reads on tolerantly; send the list and a record (--record DIR) to vivideo's maintainers"
    yield warn(NAME, f"{len(case.surprises)} things unknown to this version were met in {calls}", remedy)
