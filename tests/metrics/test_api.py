"""`/metrics` of the intake: who may read it, and that it tells what the intake did."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from api.limits import EVENTS_PAGE
from tests.api.service import FIRST_KEY, Service, serving, until
from tests.metrics.conftest import Scrape

TOKEN = "a-token-for-prometheus-alone"
FROM_AFAR = [
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-Real-IP": "::1"},
    {"Via": "1.1 proxy"},
]
BROKEN = """
    INSERT INTO events (transaction, owner_id, render_id, run, number, type, data)
    SELECT '3', owner_id, render_id, run, number + more, type, CASE WHEN more = :page THEN '[]'::jsonb ELSE data END
    FROM events, generate_series(1, :page) AS more WHERE render_id = :id AND number = 1"""
"""A page of events and one that cannot be read; of a transaction so old that the feed passed it long ago."""


@pytest.fixture(scope="module")
def guarded(database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Service]:
    """An intake with a token."""
    home = tmp_path_factory.mktemp("guarded")
    with serving(database, home, 23_000 + worker_number * 100, VIVIDEO_METRICS_TOKEN=TOKEN) as running:
        yield running


def _scrape(running: Service, **headers: str) -> httpx.Response:
    return running.nobody.get("/metrics", headers=headers)


def test_a_program_of_this_machine_reads_it(guarded: Service):
    """Without a key, as text that Prometheus takes, uncached."""
    answer = _scrape(guarded)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert Scrape(answer.text).by("vivideo_build_info", "process") == {"api": 1}


@pytest.mark.parametrize("forwarded", FROM_AFAR, ids=lambda one: next(iter(one)))
def test_what_a_proxy_passes_on_needs_the_token(guarded: Service, forwarded: dict[str, str]):
    """Its own address says nothing about who asks. The right token does; another, half of it, or a key does not."""
    for wrong in (None, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", "Bearer vv_wrong"):
        given = forwarded | ({"Authorization": wrong} if wrong else {})
        answer = guarded.nobody.get("/metrics", headers=given)
        assert (answer.status_code, answer.json()["code"]) == (401, "metrics.closed"), wrong
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "vivideo_" not in answer.text
    right = forwarded | {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.nobody.get("/metrics", headers=right).status_code == 200


def test_without_a_token_set_nobody_from_afar_reads_it(database: str, tmp_path: Path, worker_number: int):
    """An empty token is none."""
    with serving(database, tmp_path, 23_050 + worker_number * 100, VIVIDEO_METRICS_TOKEN="") as bare:
        for given in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer None"}):
            answer = bare.nobody.get("/metrics", headers={"X-Forwarded-For": "::1", **given})
            assert (answer.status_code, answer.json()["code"]) == (401, "metrics.closed")
        assert _scrape(bare).status_code == 200


def test_it_counts_what_it_answered(guarded: Service):
    """By the route's own words: what stands in its place, a render's id or a key pasted by mistake, is in no label."""
    before = Scrape(_scrape(guarded).text)
    made = guarded.make()["id"]
    guarded.first.get(f"/v1/renders/{made}")
    guarded.first.post(f"/v1/renders/{made}/cancel")
    guarded.first.post(f"/v1/renders/{made}/retry", json={})
    guarded.first.get("/v1/renders/vv_pasted-by-mistake")
    guarded.nobody.get("/v1/renders")
    guarded.first.request("BREW", "/livez")
    scrape = Scrape(_scrape(guarded).text)
    requests = scrape.by("vivideo_http_requests_total", "route", "method", "status")
    requests.subtract(before.by("vivideo_http_requests_total", "route", "method", "status"))
    assert requests["/v1/renders", "POST", "202"] == 1
    assert requests["/v1/renders/{id}", "GET", "200"] == 1
    assert requests["/v1/renders/{id}", "GET", "404"] == 1
    assert requests["", "GET", "401"] == 1
    assert scrape.sum("vivideo_http_requests_total", method="other") == 1
    assert scrape.by("vivideo_renders_accepted_total", "how") == {"new": 1, "retry": 1}
    assert scrape.by("vivideo_runs_ended_total", "status", "code") == {("canceled", ""): 1}
    assert scrape.sum("vivideo_http_request_seconds_count") == scrape.sum("vivideo_http_requests_total")
    for secret in (made, "pasted", TOKEN, guarded.environment["VIVIDEO_API_KEY"], "BREW"):
        assert secret not in scrape.text


def _one_more(running: Service, before: Scrape, route: str, method: str, status: str) -> bool:
    """Whether one request of this kind was counted since, and no other of its route and method."""
    found = Scrape(_scrape(running).text).by("vivideo_http_requests_total", "route", "method", "status")
    found.subtract(before.by("vivideo_http_requests_total", "route", "method", "status"))
    return {key: count for key, count in found.items() if key[:2] == (route, method) and count} == {
        (route, method, status): 1
    }


def test_an_answer_that_breaks_off_is_counted_as_a_fault(guarded: Service):
    """Its 200 is out when the route fails, here at the second page of events: it counts as 500, and is in the log."""
    made = guarded.make()["id"]
    guarded.write(lambda session: session.execute(text(BROKEN), {"id": made, "page": EVENTS_PAGE}))
    before = Scrape(_scrape(guarded).text)
    with pytest.raises(httpx.RemoteProtocolError):
        guarded.first.get(f"/v1/renders/{made}/events", headers={"Accept": "text/event-stream"})
    until(lambda: _one_more(guarded, before, "/v1/renders/{id}/events", "GET", "500"))
    (line,) = [line for line in guarded.log.splitlines() if "request.done" in line and "/events" in line]
    assert "500" in line


def test_a_request_that_is_cut_is_counted(guarded: Service):
    """A body whose rest never comes."""
    before = Scrape(_scrape(guarded).text)
    head = f"POST /v1/renders HTTP/1.1\r\nHost: vivideo\r\nAuthorization: Bearer {FIRST_KEY}\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400")
    until(lambda: _one_more(guarded, before, "", "POST", "400"))


def test_a_repeated_request_is_one_render(guarded: Service):
    """The same idempotency key again, also with another body, makes nothing and counts nothing."""
    before = Scrape(_scrape(guarded).text).sum("vivideo_renders_accepted_total")
    for prompt in ("a red kite", "a red kite", "a blue kite"):
        guarded.first.post("/v1/renders", json={"prompt": prompt}, headers={"Idempotency-Key": "metrics-1"})
    assert Scrape(_scrape(guarded).text).sum("vivideo_renders_accepted_total") == before + 1


def test_the_queue_is_read_every_ten_seconds_at_most(guarded: Service):
    """Two scrapes in a row say the same; later ones what is there by then."""
    guarded.make()

    def queued() -> float:
        return Scrape(_scrape(guarded).text).sum("vivideo_renders_open", status="queued")

    began, first = time.monotonic(), queued()
    guarded.make()
    if queued() == first:  # unless the ten seconds ended just here
        until(lambda: queued() != first, 12)
        assert time.monotonic() - began < 12
    until(lambda: queued() == guarded.write(_queued), 12)


def _queued(session: Session) -> int:
    return session.scalar(text("SELECT count(*) FROM renders WHERE status = 'queued'")) or 0
