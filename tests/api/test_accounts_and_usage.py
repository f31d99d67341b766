"""Accounts as their users may see them, what renders came to, and what a key may do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update

from api.cli import account_rows, balances
from tests.api import working
from tests.api.service import Service
from worker.accounts.models import Account
from worker.database import ago, from_now
from worker.owners.models import Owner
from worker.renders import leases
from worker.renders.models import Render, Run
from worker.renders.states import Status

FIELDS = {"succeeded": 0, "failed": 0, "canceled": 0, "expired": 0, "credits": 0.0, "unknown": 0}


def _owner(service: Service, name: str) -> str:
    with service.session() as session:
        return session.scalars(select(Owner.id).where(Owner.name == name)).one()


def test_accounts_are_shown_with_what_is_in_use(service: Service) -> None:
    """Shared and own ones, disabled ones too, with slots in use; another owner's is a 404; never a token."""
    ids = {name: f"acc_{name:0>26}" for name in ("shared", "own", "hers", "off")}
    common = {"kind": "registered", "token_encrypted": b"secret-token-bytes"}
    rows: list[dict[str, Any]] = [
        {"id": ids["shared"], "name": "shared", "slots": 3},
        {"id": ids["own"], "name": "own", "owner_id": _owner(service, "default")},
        {"id": ids["hers"], "name": "hers", "owner_id": _owner(service, "demo")},
        {"id": ids["off"], "name": "off", "disabled_at": func.now()},
    ]
    for row in rows:
        service.write(lambda session, row=row: session.execute(insert(Account).values(**common | row)))
    made = service.make()
    held = service.write(lambda session: working.claimed(session, made["id"]))
    service.write(lambda session: leases.write(session, held, {"account_id": ids["shared"]}))
    answer = service.first.get("/v1/accounts")
    found = {row["name"]: row for row in answer.json()["data"]}
    assert found.keys() == {"shared", "own", "off"}
    assert (found["shared"]["slots"], found["shared"]["slots_in_use"]) == (3, 1)
    assert (found["own"]["slots"], found["own"]["slots_in_use"], found["own"]["pause_reason"]) == (None, 0, None)
    assert (found["off"]["disabled"], found["own"]["disabled"]) == (True, False)
    # A message still to come, of about a clip's price, and none at all.
    assert [(found[name]["reserved"], found[name]["held"]) for name in ("shared", "own")] == [(100, False), (0, False)]
    assert "secret" not in answer.text
    assert service.first.get(f"/v1/accounts/{ids['shared']}").json() == found["shared"]
    for foreign in (ids["hers"], "acc_" + "0" * 26, "acc_x", "%00"):
        refused = service.first.get(f"/v1/accounts/{foreign}")
        assert (refused.status_code, refused.json()["code"]) == (404, "account.unknown"), foreign
    service.write(lambda session: working.finished(session, held, Status.CANCELED))
    assert service.first.get(f"/v1/accounts/{ids['shared']}").json()["slots_in_use"] == 0
    service.write(lambda session: session.execute(update(Render).values(account_id=None)))
    service.write(lambda session: session.execute(delete(Account).where(Account.id.in_(ids.values()))))


def test_accounts_say_why_they_stand_still_now(service: Service) -> None:
    """For a pause by the database's clock, not one that is over; for a refused token. All ways to ask say the same."""
    soon, past = from_now(timedelta(hours=1)), ago(timedelta(seconds=1))
    rows: dict[str, dict[str, Any]] = {
        "limited": {"paused_until": soon, "pause_reason": "rate_limit"},
        "over": {"paused_until": past, "pause_reason": "credits"},
        "refused": {"token_refused_at": func.now(), "paused_until": past, "pause_reason": "rate_limit"},
        "both": {"token_refused_at": func.now(), "paused_until": soon, "pause_reason": "rate_limit"},
    }
    ids = {name: f"acc_{name:0>26}" for name in rows}
    for name, row in rows.items():
        known = {"id": ids[name], "name": name, "kind": "registered"}
        service.write(lambda session, row=row, known=known: session.execute(insert(Account).values(**known | row)))
    found = {row["name"]: row for row in service.first.get("/v1/accounts").json()["data"] if row["name"] in rows}
    assert {name: row["pause_reason"] for name, row in found.items()} == {
        "limited": "rate_limit",
        "over": None,
        "refused": "token",
        "both": "token",
    }
    assert [name for name, row in found.items() if row["paused_until"] is not None] == ["limited"]
    with service.client as client:
        states = {one.name: balances._state(one) for one in client.accounts() if one.name in rows}
    assert states.pop("limited").startswith("paused until ")
    assert states == {"over": "ready", "refused": "paused: token", "both": "paused: token"}
    with service.session() as session:
        operator = {one["name"]: one for one in account_rows.facts(session) if one["name"] in rows}
    assert {name: row["reason"] for name, row in operator.items()} == {n: r["pause_reason"] for n, r in found.items()}
    service.write(lambda session: session.execute(delete(Account).where(Account.id.in_(ids.values()))))


def test_usage_counts_every_run_where_it_ended(service: Service) -> None:
    """A failed run and its successful next one, a canceled render, another's: each in its day, deleted ones too."""
    owner = _owner(service, "demo")
    made = service.make(service.second)
    held = service.write(lambda session: working.claimed(session, made["id"]))
    changes = {"charge_state": "unknown", "error_code": "generation.unconfirmed", "error_retryable": True}
    service.write(lambda session: working.finished(session, held, Status.FAILED, **changes))
    at = made["links"]["self"]
    assert service.second.post(f"{at}/retry", json={"force": True}).json()["run"] == 2
    again = service.write(lambda session: working.claimed(session, made["id"]))

    def succeeded(session: Any) -> None:
        working.with_result(session, again, key="k", size=1000, sha256="0" * 64)
        working.finished(session, again, Status.SUCCEEDED, charge_state="incurred", charge_credits=100)

    service.write(succeeded)
    canceled = service.make(service.second)["links"]["self"]
    service.second.post(f"{canceled}/cancel")
    service.make(service.second)
    long_ago = update(Run).where(Run.render_id == made["id"]).values(finished_at=ago(timedelta(days=3)))
    service.write(lambda session: session.execute(long_ago))

    [total] = service.second.get("/v1/usage").json()["data"]
    expected = FIELDS | {"succeeded": 1, "failed": 1, "canceled": 1, "credits": 100.0, "unknown": 1}
    expected |= {"video_seconds": 2.5, "video_bytes": 1000}
    assert {name: total[name] for name in expected} == expected
    days = service.second.get("/v1/usage", params={"by": "day"}).json()["data"]
    assert [(day["failed"], day["succeeded"], day["canceled"]) for day in days] == [(1, 0, 0), (0, 1, 1)]
    assert all(day["since"] < day["until"] for day in days)
    assert service.second.delete(at).status_code == 204
    assert service.second.get("/v1/usage", params={"before": total["until"], "after": total["since"]}).json() == {
        "data": [total]
    }
    with service.session() as session:
        assert session.scalar(select(func.count()).where(Render.owner_id == owner, Render.purged_at.is_not(None))) == 1


def test_usage_of_nothing_is_zero(service: Service) -> None:
    """A span without an end of a run: one total of zeros, no day."""
    span = {"after": "2001-01-01T00:00:00Z", "before": "2001-02-01T00:00:00+02:00"}
    [total] = service.first.get("/v1/usage", params=span).json()["data"]
    assert {name: total[name] for name in FIELDS} == FIELDS
    assert service.first.get("/v1/usage", params=span | {"by": "day"}).json() == {"data": []}


@pytest.mark.parametrize(
    "span",
    [
        {"after": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"},
        {"after": "2020-01-01T00:00:00Z", "before": "2026-01-01T00:00:00Z"},
        {"after": "2026-01-01T00:00:00"},
        {"after": "yesterday"},
        {"by": "hour"},
        {"after": "0001-01-01T00:00:00+14:00", "before": "0001-01-02T00:00:00-14:00"},
        {"before": "9999-12-31T23:59:59-14:00"},
        {"before": "0001-01-01T00:00:00Z"},
    ],
)
def test_a_span_that_is_none_is_refused(service: Service, span: dict[str, str]) -> None:
    """Backwards, longer than a year, without a zone, or out of the calendar: 4xx, never a fault."""
    answer = service.first.get("/v1/usage", params=span)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid"), answer.text


def test_a_key_shows_itself(service: Service) -> None:
    """Whose it is and what it may do; its text and hash are not in the answer."""
    answer = service.first.get("/v1/key")
    body = answer.json()
    assert (body["owner"], body["name"], body["scopes"], body["limits"]) == ("default", "VIVIDEO_API_KEY", [], {})
    assert body["prefix"] == "vv_the-f"
    assert datetime.fromisoformat(body["created_at"]) <= datetime.now(UTC)
    assert "hash" not in answer.text


def test_a_rehearsal_keeps_nothing(service: Service) -> None:
    """`dry_run`: the request as it would be taken on, with its language, hints and cost; no row, no key, no use of the
    upload; and an invalid one is refused as ever."""
    with service.session() as session:
        before = session.scalar(select(func.count()).select_from(Render))
    given = {
        "prompt": "  un chat qui joue du piano dans une maison bleue  ",
        "assets": [{"url": "https://shop.example/1.jpg"}],
    }
    key = {"Idempotency-Key": "rehearsed"}
    answer = service.first.post("/v1/renders?dry_run=true", json=given, headers=key)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["valid"], body["render"]["language"], body["render"]["priority"]) == (True, "fr", "normal")
    assert body["render"]["prompt"] == given["prompt"].strip()
    assert body["render"]["assets"] == given["assets"]
    assert (body["estimate"]["credits"], body["estimate"]["seconds"] > 0) == (100, True)
    vague = service.first.post("/v1/renders?dry_run=1", json={"prompt": "make it look better"}).json()
    assert vague["hints"]
    missing = {"prompt": "x", "assets": [{"upload": "upl_" + "0" * 26}]}
    refused = service.first.post("/v1/renders?dry_run=true", json=missing)
    assert (refused.status_code, refused.json()["code"]) == (422, "upload.unknown")
    with service.session() as session:
        assert session.scalar(select(func.count()).select_from(Render)) == before
    assert service.first.post("/v1/renders", json={"prompt": "another"}, headers=key).status_code == 202


def test_more_filters_find_what_they_describe(service: Service) -> None:
    """By priority, by time with its zone, by ids: alone and together."""
    low = service.make(priority="low", tags=["more-filters"])
    high = service.make(priority="high", tags=["more-filters"])

    def found(**query: object) -> list[str]:
        answer = service.first.get("/v1/renders", params={"tag": "more-filters", **query})
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    assert found(priority="low") == [low["id"]]
    assert found(created_after=high["created_at"]) == [high["id"]]
    assert found(created_before=high["created_at"]) == [low["id"]]
    assert found(created_after=low["created_at"], created_before=high["created_at"], priority="high") == []
    assert found(ids=[low["id"], high["id"], "rnd_nonsense"]) == [high["id"], low["id"]]
    assert found(ids=["rnd_nonsense"]) == []
    for bad in ({"created_after": "2026-01-01"}, {"priority": "urgent"}, {"ids": [low["id"]] * 201}):
        assert service.first.get("/v1/renders", params=bad).status_code == 422, bad
