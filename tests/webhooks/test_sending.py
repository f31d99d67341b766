"""Tries and what comes of them: signed, kept, repeated on the schedule, given up, and never a word of the address."""

import json
import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from api.client import BadSignature, verify_webhook
from tests import feed
from tests.addresses.servers import dripping, serving
from tests.remote.tls import certificate
from tests.renders.conftest import a_render, a_worker
from tests.webhooks.conftest import (
    Receiver,
    an_endpoint,
    attempts,
    by_owner,
    deliveries,
    handed_out,
    happens,
    later,
    names,
    put,
    relayed,
    states,
    the_delivery,
    the_endpoint,
    tried,
)
from worker.addresses.errors import Busy
from worker.database import transact
from worker.renders import events
from worker.renders.events import Cursor, EventType
from worker.renders.models import Render
from worker.webhooks import claims, endpoints, outcomes, redeliveries, relay, retention, sending
from worker.webhooks import deliveries as deliveries_
from worker.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from worker.webhooks.outcomes import Tried

FOR = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def _worker(_empty: None) -> None:
    a_worker(capacity=100)


def one_delivery(url: str, *types: EventType) -> tuple[str, str]:
    """An endpoint and a delivery to it of a render's last event."""
    endpoint, render = an_endpoint(url, events=tuple(type.value for type in types) or ("render.queued",)), a_render()
    happens(render, *types)
    relayed()
    return endpoint, deliveries(endpoint)[-1].id


def claimed(delivery: str) -> claims.Claimed | None:
    lease = the_delivery(delivery).lease
    return transact(lambda s: claims.claim(s, delivery, lease, for_=FOR))


def test_what_is_taken_is_delivered_and_both_libraries_verify_it(receiver: Receiver):
    """One POST of the body as it is kept, signed; the try is kept with both headers and the answer."""
    receiver.answers = [(201, {"X-Note": "ok", "Set-Cookie": "s3cr3t"}, b"thank\0you")]
    endpoint, delivery = one_delivery(receiver.url)
    assert tried() == 1
    (got,) = receiver.got
    row, (attempt,) = the_delivery(delivery), attempts(delivery)
    secret = endpoints.secrets_of(the_endpoint(endpoint), datetime.now(UTC))[0]
    assert Webhook(secret).verify(got.body, got.headers) == verify_webhook(got.body, got.headers, secret)
    assert got.body.decode() == row.body
    assert (got.headers["webhook-id"], got.headers["content-type"]) == (delivery, "application/json")
    assert (row.state, row.tries, row.last_status, row.sent_at, row.lease_until) == ("delivered", 1, 201, None, None)
    assert (attempt.number, attempt.status, attempt.error) == (1, 201, None)
    assert attempt.answer == "thank\ufffdyou"
    assert attempt.answer_headers["x-note"] == "ok"
    assert "set-cookie" not in attempt.answer_headers
    assert attempt.request_headers["webhook-id"] == delivery
    assert the_endpoint(endpoint).succeeded_at is not None


def test_a_rotation_signs_with_both_secrets_until_its_time(receiver: Receiver):
    """The published library accepts the try with either; once the overlap is over, with the new one alone."""
    endpoint, _ = one_delivery(receiver.url)
    old = endpoints.secrets_of(the_endpoint(endpoint), datetime.now(UTC))[0]
    new = transact(lambda s: endpoints.rotate(s, s.get_one(WebhookEndpoint, endpoint), overlap=timedelta(seconds=50)))
    tried()
    body, headers = receiver.got[0].body, receiver.got[0].headers
    signatures = headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    kept = attempts(receiver.ids[0])[0].request_headers["webhook-signature"]
    assert kept == " ".join(f"{one[:8]}…" for one in signatures), "whoever looks at a try has none that counts"
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers)
    later(60)
    a_render()
    relayed()
    tried()
    assert Webhook(new).verify(receiver.got[1].body, receiver.got[1].headers)
    with pytest.raises(BadSignature):
        verify_webhook(receiver.got[1].body, receiver.got[1].headers, old)


@pytest.mark.parametrize(
    ("answer", "error", "waits"),
    [
        (500, "webhook.status", (100, 121)),
        (404, "webhook.status", (100, 121)),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "webhook.redirected", (100, 121)),
        ((429, {"Retry-After": "3000"}, b""), "webhook.status", (2990, 3001)),
        ((503, {"Retry-After": "99999999"}, b""), "webhook.status", (86_390, 86_401)),
        ((500, {"Retry-After": "3000"}, b""), "webhook.status", (100, 121)),
        ((500, {}, b"x" * 300_000), "webhook.status", (100, 121)),
    ],
)
def test_what_is_not_taken_is_tried_again_later(receiver: Receiver, answer, error: str, waits: tuple[int, int]):
    """By the schedule or as the receiver asks, a day at most; a redirect is never followed; four KiB are kept."""
    receiver.answers = [500, answer]
    endpoint, delivery = one_delivery(receiver.url)
    assert tried() == tried() == 1
    row, last = the_delivery(delivery), attempts(delivery)[-1]
    assert (row.state, row.tries, row.last_error, last.error) == ("pending", 2, error, error)
    ready_in = (row.ready_at - last.started_at).total_seconds()
    assert waits[0] <= ready_in <= waits[1]
    assert len(last.answer or "") <= sending.ANSWER_BYTES
    assert len(receiver.got) == 2
    assert the_endpoint(endpoint).failing_since is not None


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_leaves_the_whole_endpoint_alone(receiver: Receiver, status: int):
    """Whatever else is due there, messages that are out included, waits as long; other endpoints do not."""
    receiver.answers = [(status, {"Retry-After": "60"}, b""), 204]
    endpoint = an_endpoint(receiver.url, events=("render.queued",))
    for _ in range(3):
        a_render()
    relayed()
    assert tried() == 1, "three messages were out"
    later(40)
    assert handed_out() == []
    assert transact(lambda s: claims.claim_next(s, endpoint, for_=FOR)) is None
    other = an_endpoint(receiver.url, events=("render.queued",))
    a_render()
    relayed()
    assert tried() == 1
    assert [one.state for one in deliveries(other)] == ["delivered"]
    later(100)
    while tried():
        pass
    assert {one.state for one in deliveries(endpoint)} == {"delivered"}


def test_enabling_or_another_address_ends_the_quiet(receiver: Receiver):
    """What a receiver asked for holds for its address, and only until somebody says that it is well again."""
    endpoint = an_endpoint(receiver.url)
    for act in (endpoints.enable, lambda s, row: endpoints.change(s, row, url="https://example.com/")):
        put(WebhookEndpoint, endpoint, quiet_until=datetime.now(UTC) + timedelta(hours=1))
        transact(lambda s: endpoints.change(s, s.get_one(WebhookEndpoint, endpoint), description="x"))
        assert the_endpoint(endpoint).quiet_until is not None
        transact(lambda s, act=act: act(s, s.get_one(WebhookEndpoint, endpoint)))
        assert the_endpoint(endpoint).quiet_until is None


def test_the_schedule_ends_and_the_delivery_has_failed(receiver: Receiver):
    """Each try has its own timestamp and the one id; after the last wait's failure there is no other."""
    receiver.answers = [500]
    _, delivery = one_delivery(receiver.url)
    for _ in range(4):
        assert tried() == 1
        later(300)
    assert tried() == 0
    assert (the_delivery(delivery).state, [one.number for one in attempts(delivery)]) == ("failed", [1, 2, 3, 4])
    assert receiver.ids == [delivery] * 4


def test_gone_ends_the_delivery_and_disables_the_endpoint_which_says_so(receiver: Receiver):
    """410: an event for the others, and nothing more goes there until it is enabled; what is pending goes on then."""
    receiver.answers = [410, 204]
    endpoint, delivery = one_delivery(receiver.url)
    other = an_endpoint(events=("webhook.disabled",))
    later_one = a_render()
    relayed()
    with capture_logs() as logs:
        tried()
    row = the_endpoint(endpoint)
    assert (the_delivery(delivery).state, row.disabled_reason) == ("failed", "gone")
    assert next(one for one in logs if one["event"] == "webhook.disabled")["host"] == "127.0.0.1"
    relayed()
    (told,) = deliveries(other)
    assert json.loads(told.body)["data"]["data"] == {"reason": "gone"}
    assert [one.state for one in deliveries(endpoint) if one.subject == later_one] == ["pending"]
    assert "s3cr3t" not in str(logs)
    before = len(receiver.got)
    put(WebhookDelivery, told.id, ready_at=datetime(2999, 1, 1, tzinfo=UTC))
    assert tried() == 0
    transact(lambda s: endpoints.enable(s, s.get_one(WebhookEndpoint, endpoint)))
    assert tried() == 1
    assert (len(receiver.got), the_endpoint(endpoint).failing_since) == (before + 1, None)


def test_five_days_of_nothing_but_failures_disable_an_endpoint(receiver: Receiver):
    """From the first failed try on; one that is taken begins the count anew."""
    receiver.answers = [500, 200, 500, 500, 500]
    endpoint, _ = one_delivery(receiver.url)
    tried()
    later(86_400 * 4.9)
    tried()
    assert the_endpoint(endpoint).failing_since is None
    for days, reason in ((0, None), *[(1, None)] * 4, (0.9, None), (0.2, "failing")):
        later(86_400 * days)
        a_render()
        relayed()
        tried()
        assert the_endpoint(endpoint).disabled_reason == reason
    feed.readable()
    found = transact(lambda s: list(events.feed(s, after=Cursor())))
    assert [(one.type, one.endpoint_id, one.data) for one in found][-1] == (
        *("webhook.disabled", endpoint),
        {"reason": "failing"},
    )


def test_two_failures_with_a_week_of_nothing_between_them_are_no_five_days(receiver: Receiver):
    """Where nothing was tried for longer than any wait of the schedule, nobody knows how the receiver did."""
    receiver.answers = [500]
    endpoint, _ = one_delivery(receiver.url)
    tried()
    later(86_400 * 7)
    a_render()
    relayed()
    assert tried() == 1
    assert the_endpoint(endpoint).disabled_reason is None
    later(86_400)
    assert tried() == 1
    days = datetime.now(UTC) - (the_endpoint(endpoint).failing_since or datetime.now(UTC))
    assert timedelta(hours=23) < days < timedelta(hours=25), "from the second one on"


def test_a_delivery_that_finds_no_place_for_long_waits_longer_and_is_noted_once():
    """Its pauses grow with the time, up to a few minutes; the next time begins anew after another outcome."""
    _, delivery = one_delivery("http://127.0.0.1:9/")
    pauses: list[float] = []

    def tries(error: str | None) -> None:
        put(WebhookDelivery, delivery, ready_at=datetime.now(UTC) - timedelta(seconds=1), sent_at=None)
        (one,) = handed_out()
        held = transact(lambda s: claims.claim(s, one.id, one.lease, for_=timedelta(seconds=30)))
        assert held is not None
        transact(lambda s: outcomes.write(s, held, Tried(held.at, 0.0, error=error)))
        pauses.append((the_delivery(delivery).ready_at - held.at).total_seconds())

    def passes(seconds: float) -> None:
        row = attempts(delivery)[-1]
        put(WebhookAttempt, row.id, started_at=row.started_at - timedelta(seconds=seconds))

    tries(Busy.code)
    for seconds in (60, 600):
        passes(seconds)
        tries(Busy.code)
    tries("webhook.status")
    tries(Busy.code)
    assert [round(one) for one in pauses[:3]] == [15, 60, 300]
    assert round(pauses[4]) == 15
    assert [one.error for one in attempts(delivery)] == [Busy.code, "webhook.status", Busy.code]


@pytest.mark.parametrize("error", ["webhook.unsignable", "webhook.fault", "address.busy"])
def test_a_fault_of_ours_is_none_of_the_receivers(error: str):
    """It neither counts as a failure of the endpoint nor disables one that had been failing."""
    endpoint, delivery = one_delivery("http://127.0.0.1:9/")
    first = claimed(delivery)
    assert first is not None
    transact(lambda s: outcomes.write(s, first, Tried(datetime.now(UTC), 0.0, error=error)))
    assert (the_delivery(delivery).state, the_delivery(delivery).last_error) == ("pending", error)
    assert (the_endpoint(endpoint).failing_since, the_endpoint(endpoint).failed_at) == (None, None)


def test_where_no_name_could_be_looked_up_no_try_is_gone(receiver: Receiver):
    """The one try that is allowed for is still there, a moment later."""
    _, delivery = one_delivery(receiver.url)
    for _ in range(4):
        later(20)
        held = claimed(delivery)
        assert held is not None
        busy = Tried(datetime.now(UTC), 0.0, error=Busy.code)
        transact(lambda s, held=held, busy=busy: outcomes.write(s, held, busy))
        assert tried() == 0, "not at once"
    row = the_delivery(delivery)
    assert (row.state, row.tries, row.last_error) == ("pending", 0, "address.busy")
    later(20)
    assert tried() == 1
    assert (the_delivery(delivery).state, the_delivery(delivery).tries) == ("delivered", 1)
    assert [one.number for one in attempts(delivery)] == [1, 5], "one stands for all that found no place"


def test_nobody_answers_or_hangs_or_has_no_certificate(tmp_path: Path):
    """Each is a failed try with its own code, and over in time."""
    unknown, _ = certificate(tmp_path)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with serving() as silent, serving(tls=unknown) as safe:
            silent.answers["/hang"] = lambda _line: silent.stopping.wait(5)
            silent.answers["/drip"] = dripping(silent, b"HTTP/1.1 200 OK\r\n", 0.05)
            cases = {
                refused: "address.unreachable",
                silent.url("/hang"): "address.timeout",
                silent.url("/drip"): "address.timeout",
                safe.url("/"): "address.tls",
                "http://169.254.169.254/latest": "address.private",
            }
            ids = {url: an_endpoint(url, events=("render.queued",)) for url in cases}
            a_render()
            relayed()
            tried()
        seen = {url: deliveries(endpoint)[0] for url, endpoint in ids.items()}
    assert {url: row.last_error for url, row in seen.items()} == cases
    assert all(one.seconds < 1 for row in seen.values() for one in attempts(row.id))


def test_a_zombies_outcome_after_its_lease_writes_nothing(receiver: Receiver):
    """Neither where another has claimed it meanwhile, nor where nobody has yet; the lost try counts as one."""
    endpoint, delivery = one_delivery(receiver.url)
    first = claimed(delivery)
    assert first is not None
    assert claimed(delivery) is None, "in hand"
    later(40)
    at = datetime.now(UTC)
    assert transact(lambda s: outcomes.write(s, first, Tried(at, 0.1, 200))) is None
    assert tried() == 1
    assert transact(lambda s: outcomes.write(s, first, Tried(at, 0.1, 500, "webhook.status"))) is None
    row = the_delivery(delivery)
    assert (row.state, row.tries, row.lease) == ("delivered", 2, 2)
    assert [one.number for one in attempts(delivery)] == [2]
    assert the_endpoint(endpoint).failing_since is None


@pytest.mark.parametrize(("status", "state"), [(500, "superseded"), (204, "delivered")])
def test_a_try_under_way_when_the_final_event_comes_is_the_last(receiver: Receiver, status: int, state: str):
    """Where it fails there is no other; where it is taken it was delivered, and that is what is said."""
    endpoint, render = an_endpoint(receiver.url), a_render()
    relayed()
    first = claimed(deliveries(endpoint)[0].id)
    assert first is not None
    happens(render, EventType.SUCCEEDED)
    feed.readable()
    transact(relay.relay)
    assert states() == [("queued", "pending"), ("succeeded", "pending")]
    assert tried() == 0, "the final event waits for the first try under way"
    error = None if status < 300 else "webhook.status"
    transact(lambda s: outcomes.write(s, first, Tried(datetime.now(UTC), 0.1, status, error)))
    assert states() == [("queued", state), ("succeeded", "pending")]
    assert tried() == 1


def test_a_worker_that_dies_in_a_try_that_was_overtaken_leaves_nothing_to_try(receiver: Receiver):
    """Once its lease is over it is superseded, and the final event goes out."""
    _, render = an_endpoint(receiver.url), a_render()
    relayed()
    assert claimed(deliveries()[0].id) is not None
    happens(render, EventType.SUCCEEDED)
    relayed()
    later(40)
    assert tried() == 1
    assert states() == [("queued", "superseded"), ("succeeded", "delivered")]
    assert [row.lease_until for row in deliveries()] == [None, None]


@pytest.mark.parametrize("by", ["the relay", "enabling"])
def test_what_is_superseded_after_its_worker_was_lost_is_nobodys(by: str):
    """A lease that is over ends with its delivery."""
    endpoint, render = an_endpoint(), a_render()
    relayed()
    assert claimed(deliveries()[0].id) is not None
    later(40)
    if by == "enabling":
        transact(lambda s: endpoints.disable(s, s.get_one(WebhookEndpoint, endpoint)))
    happens(render, EventType.SUCCEEDED)
    relayed()
    if by == "enabling":
        transact(lambda s: endpoints.enable(s, s.get_one(WebhookEndpoint, endpoint)))
    row = deliveries()[0]
    assert (row.state, row.lease_until) == ("superseded", None)


def test_a_secret_that_cannot_be_read_fails_the_try_and_sends_nothing(receiver: Receiver):
    """An unsigned webhook would be worse than none."""
    endpoint, delivery = one_delivery(receiver.url)
    put(WebhookEndpoint, endpoint, secret_encrypted=b"of another key")
    tried()
    assert (the_delivery(delivery).last_error, receiver.got) == ("webhook.unsignable", [])


def test_an_endpoint_that_is_deleted_while_it_is_tried(receiver: Receiver):
    """What came of it is written down where nobody sees it any more; nothing more is sent, and all of it is removed."""
    endpoint, delivery = one_delivery(receiver.url)
    first = claimed(delivery)
    assert first is not None
    transact(lambda s: endpoints.delete(s, s.get_one(WebhookEndpoint, endpoint)))
    transact(lambda s: outcomes.write(s, first, Tried(datetime.now(UTC), 0.1, 200)))
    while transact(retention.remove):
        pass
    assert deliveries() == []


def test_callbacks_of_one_host_are_one_endpoint(receiver: Receiver):
    """With one secret and one share of the places; each render's events go to the address as it named it, also when
    they are sent again."""
    base = receiver.url.partition("hook")[0]
    named = {a_render(): f"{base}orders/{number}?key={number}" for number in range(2)}
    ids = {names(render, url) for render, url in named.items()}
    (own,) = ids
    relayed()
    while tried():
        pass
    happens(next(iter(named)), EventType.STARTED)
    since = datetime(2000, 1, 1, tzinfo=UTC)
    transact(lambda s: redeliveries.begin(s, s.get_one(WebhookEndpoint, own), since, only="failed"))
    while tried():
        pass
    assert sorted(one.path for one in receiver.got) == ["/orders/0?key=0", "/orders/0?key=0", "/orders/1?key=1"]
    assert the_endpoint(own).url == base


def test_the_spellings_of_one_origin_are_one_endpoint_and_other_origins_others():
    """Upper case, a final dot, the usual port; another scheme, port or host is another receiver."""

    def of(url: str) -> str:
        return by_owner(lambda s, mine: endpoints.of_render(s, mine, url).id)

    same = ("https://shop.example/a", "https://SHOP.example:443?b", "https://shop.example./c/" + "ü" * 2_000)
    assert len({of(url) for url in same}) == 1
    others = ("https://shop.example:8443/a", "http://shop.example/a", "https://www.shop.example/a", same[0])
    assert len({of(url) for url in others}) == 4


def test_what_one_render_s_address_answers_is_no_word_about_the_others(receiver: Receiver):
    """410 ends that delivery and Retry-After moves it; neither shuts nor quietens the host, which counts as failing
    until any address of it takes something."""
    receiver.answers = [410, (503, {"Retry-After": "3000"}, b""), 204]
    base = receiver.url.partition("hook")[0]
    named = [a_render() for _ in range(3)]
    (own,) = {names(render, f"{base}?order={number}") for number, render in enumerate(named)}
    relayed()
    assert tried() == 3
    by_status = {row.last_status: row for row in deliveries(own)}
    assert {status: row.state for status, row in by_status.items()} == {
        410: "failed",
        503: "pending",
        204: "delivered",
    }
    assert (by_status[503].ready_at - attempts(by_status[503].id)[0].started_at).total_seconds() >= 2_990
    row = the_endpoint(own)
    assert (row.disabled_at, row.quiet_until, row.failing_since) == (None, None, None)
    receiver.answers = [410]
    happens(by_status[410].subject, EventType.STARTED)
    relayed()
    assert tried() == 1
    assert the_endpoint(own).disabled_at is None
    assert the_endpoint(own).failing_since is not None


@pytest.mark.parametrize("status", [410, 500])
def test_a_test_of_a_renders_endpoint_goes_to_the_newest_address_and_switches_nothing_off(
    receiver: Receiver, status: int
):
    """Nor does its failing count, whatever it answers; where no render is left there is nobody to ask."""
    receiver.answers = [204, status]
    base = receiver.url.partition("hook")[0]
    first, second = a_render(), a_render()
    names(first, f"{base}?order=1")
    own = names(second, f"{base}?order=2")

    def send():
        transact(lambda s: deliveries_.send_test(s, s.get_one(WebhookEndpoint, own), EventType.SUCCEEDED))
        assert tried() == 1
        return receiver.got[-1].path, the_endpoint(own).failing_since, the_endpoint(own).disabled_at

    put(WebhookEndpoint, own, failing_since=datetime.now(UTC) - timedelta(days=6), failed_at=datetime.now(UTC))
    assert send() == ("/?order=2", None, None)
    put(Render, second, webhook_url=None)
    put(WebhookEndpoint, own, failing_since=(since := datetime.now(UTC) - timedelta(days=6)))
    assert send() == ("/?order=1", since, None)
    put(Render, first, webhook_url=None)
    with pytest.raises(deliveries_.NoAddress):
        send()
