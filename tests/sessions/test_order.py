"""The order of a session's turns, whatever is said, called off and begun anew, and when the dispatcher looks."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sessions.test_turns import a_session, release, say
from tests.stack import Stack
from tests.stages.driving import the
from worker.database import transact
from worker.owners.store import owner
from worker.renders import runs
from worker.renders import store as renders
from worker.renders.models import Render

STEPS = st.lists(st.tuples(st.sampled_from(["say", "cancel", "cancel", "retry", "retry", "look"]), st.integers(0, 5)))


def cancel(render_id: str) -> None:
    transact(lambda session: renders.cancel(session, owner(session, "default").id, render_id))


def retry(render_id: str) -> None:
    def work(session):
        render = renders.locked(session, owner(session, "default").id, render_id)
        runs.retry(session, render, force=False, api_key_id=None)

    transact(work)


def over_them_all(turns: list[str]) -> dict[str, Render]:
    return {one: the(one) for one in turns}


def played(steps: list[tuple[str, int]]) -> list[str]:
    """The session's turns after these steps, of which a dispatcher's look is the last."""
    session_id, turns = a_session(), list[str]()
    for what, which in steps:
        if what == "say":
            turns.append(say(session_id, "x"))
        elif what == "look":
            release()
        elif which < len(turns):
            final = the(turns[which]).finished_at is not None
            if what == "cancel" and not final:
                cancel(turns[which])
            if what == "retry" and final:
                retry(turns[which])
    release()
    return turns


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_one_turn_is_next_and_nobody_follows_himself(backend: Stack, steps: list[tuple[str, int]]):
    """No circle of those that wait, which would never end; and of the open turns one is ready, as nobody began any."""
    rows = over_them_all(played(steps))
    for start in rows:
        seen, at = set[str](), start
        while at in rows and rows[at].follows_id is not None:
            assert at not in seen, "a circle"
            seen.add(at)
            at = str(rows[at].follows_id)
    waiting = [row for row in rows.values() if row.finished_at is None]
    assert len([row for row in waiting if row.ready_at.year < 9000]) == min(len(waiting), 1)


def test_what_once_stopped_the_dispatcher(backend: Stack):
    """Three turns and a fourth; the first called off and begun anew, the second and third called off."""
    begun_anew = [("cancel", 0), ("look", 0), ("retry", 0)]
    played([*[("say", 0)] * 3, *begun_anew, ("cancel", 1), ("say", 0), ("cancel", 0), ("cancel", 2)])


def test_the_last_one_begun_anew_comes_after_the_first(backend: Stack):
    """It has nobody behind it, and still does not overtake."""
    first, second = played([("say", 0), ("say", 0), ("cancel", 1), ("retry", 1)])
    assert the(second).follows_id == first
