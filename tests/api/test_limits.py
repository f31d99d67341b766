"""How much a key may have at once and spend a day, over HTTP."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import select

from tests.api import working
from tests.api.keys import caller, new_key
from tests.api.service import Service
from tests.api.tables import contents
from worker.owners.limits import Limits
from worker.renders.models import Render
from worker.renders.states import Status

WANTED = {"prompt": "a lamp"}


def _refused(answer: httpx.Response, code: str) -> int:
    """The seconds to wait."""
    assert (answer.status_code, answer.json()["code"]) == (429, code), answer.text
    return int(answer.headers["retry-after"])


def test_simultaneous_posts_do_not_pass_the_limit(service: Service):
    """Three renders in flight and no more, however many ask at one moment; each render names the key."""
    text = new_key(service, limits=Limits(renders_in_flight=3))
    with caller(service, text) as key, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: key.post("/v1/renders", json=WANTED), range(40)))
        taken = [answer.json()["id"] for answer in answers if answer.status_code == 202]
        assert len(taken) == 3
        assert {_refused(answer, "limit.in_flight") for answer in answers if answer.status_code != 202} == {30}
        key_id = key.get("/v1/key").json()["id"]
        with service.session() as session:
            assert set(session.scalars(select(Render.id).where(Render.api_key_id == key_id))) == set(taken)
        assert key.post(f"/v1/renders/{taken[0]}/cancel").status_code == 200
        assert key.post("/v1/renders", json=WANTED).status_code == 202


def test_a_render_that_is_refused_leaves_nothing(service: Service):
    """Not even its Idempotency-Key: the same call is taken once there is room. One taken before is found again."""
    with caller(service, new_key(service, limits=Limits(renders_in_flight=1))) as key:
        first = key.post("/v1/renders", json=WANTED, headers={"Idempotency-Key": "limits-1"})
        before = contents(service)
        second = {"json": WANTED, "headers": {"Idempotency-Key": "limits-2"}}
        _refused(key.post("/v1/renders", **second), "limit.in_flight")
        again = key.post("/v1/renders", json=WANTED, headers={"Idempotency-Key": "limits-1"})
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert contents(service) == before
        key.post(f"/v1/renders/{first.json()['id']}/cancel")
        assert key.post("/v1/renders", **second).status_code == 202


@pytest.mark.parametrize(("charge", "status"), [("none", 202), ("unknown", 429)])
def test_the_credits_of_a_day(service: Service, charge: str, status: int):
    """A run counts about a clip's worth until it is known to have been free; `Retry-After` is when it is a day old."""
    with caller(service, new_key(service, limits=Limits(credits_per_day=100))) as key:
        render_id = key.post("/v1/renders", json=WANTED).json()["id"]
        assert 86_000 < _refused(key.post("/v1/renders", json=WANTED), "limit.credits") <= 86_400
        held = service.write(lambda session: working.claimed(session, render_id))
        end = {"error_code": "session.lost", "charge_state": charge}
        service.write(lambda session: working.finished(session, held, Status.FAILED, **end))
        assert key.post("/v1/renders", json=WANTED).status_code == status


def test_a_retry_is_a_run_like_any_other(service: Service):
    """It needs a place in flight, and is counted for the key that asks for it."""
    with caller(service, new_key(service, limits=Limits(renders_in_flight=1))) as key:
        render_id = service.make()["id"]
        service.first.post(f"/v1/renders/{render_id}/cancel")
        mine = key.post("/v1/renders", json=WANTED).json()["id"]
        _refused(key.post(f"/v1/renders/{render_id}/retry", json={}), "limit.in_flight")
        key.post(f"/v1/renders/{mine}/cancel")
        assert key.post(f"/v1/renders/{render_id}/retry", json={}).status_code == 202
        _refused(key.post("/v1/renders", json=WANTED), "limit.in_flight")
