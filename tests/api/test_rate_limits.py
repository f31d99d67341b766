"""How often a key may ask: counted together by all processes, and at once by each alone while Redis is away."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis

from api.rate_limits import READS, Budgets, Policy, policy
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.api.keys import caller, new_key
from tests.api.service import Service, until
from worker.owners.limits import Limits

SOME = {"VIVIDEO_WRITES_PER_MINUTE": "40", "VIVIDEO_FAILED_KEYS_PER_MINUTE": "5"}
NOWHERE = "/v1/renders/rnd_00000000000000000000000000/cancel"


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of these tests' own: they stop it."""
    home = tmp_path_factory.mktemp("valkey")
    with Running(Valkey(home / "data"), home / "valkey.log") as running:
        yield running


@pytest.fixture(scope="module")
def pair(
    own_valkey: Running, database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int
) -> Iterator[tuple[Service, Service]]:
    """Two processes of one intake."""
    settings = SOME | {"VIVIDEO_REDIS_URL": _url(own_valkey)}
    ports = (21_060 + worker_number * 100, 21_070 + worker_number * 100)
    both = [Service(database, tmp_path_factory.mktemp("state"), port, settings) for port in ports]
    try:
        for service in both:
            service.start()
            until(lambda service=service: service.first.get("/v1/key").status_code == 200, why=lambda: both[0].log)
        yield both[0], both[1]
    finally:
        for service in both:
            service.close()


@pytest.fixture
def one(pair: tuple[Service, Service]) -> Service:
    """One of them."""
    return pair[0]


def _url(running: Running) -> str:
    assert isinstance(running.server, Valkey)
    return running.server.redis_url()


def _signal(running: Running, number: signal.Signals) -> None:
    assert running.process is not None
    running.process.send_signal(number)


def _allowed(budgets: Budgets, key: str, amount: int, requests: int) -> int:
    policy = Policy("writes", amount)
    return sum(budgets.spend(policy, key).allowed for _ in range(requests))


def _not_at_the_end_of_a_minute() -> None:
    """A process's own windows are those of the clock: at their border one request more is let through."""
    until(lambda: time.time() % 60 < 57)


def _numbers(answer: httpx.Response) -> tuple[str, int, int]:
    """`"writes";r=599;t=12` taken apart."""
    name, left, seconds = answer.headers["ratelimit"].split(";")
    return name.strip('"'), int(left.removeprefix("r=")), int(seconds.removeprefix("t="))


def test_every_answer_says_what_is_left(one: Service):
    """Problems too; writes and reads have a budget each; a key's own numbers outrank the settings'."""
    with caller(one, new_key(one, limits=Limits(reads_per_minute=90))) as key:
        answers = [key.post(NOWHERE), key.post("/v1/renders", json={"nonsense": 1}), key.get("/v1/key")]
    assert [answer.status_code for answer in answers] == [404, 422, 200]
    assert [_numbers(answer)[:2] for answer in answers] == [("writes", 39), ("writes", 38), ("reads", 89)]
    assert answers[0].headers["ratelimit-policy"] == '"writes";q=40;w=60'
    assert answers[2].headers["ratelimit-policy"] == '"reads";q=90;w=60'
    assert 0 <= _numbers(answers[0])[2] <= 60


def test_one_too_many_is_told_when_to_come_again(one: Service):
    """429 with `Retry-After`; the other budget is not touched, and the other keys of the owner are not."""
    with caller(one, new_key(one, limits=Limits(requests_per_minute=2))) as key:
        first = [key.post(NOWHERE).status_code for _ in range(2)]
        refused = key.post(NOWHERE)
        assert first == [404, 404]
        assert (refused.status_code, refused.json()["code"]) == (429, "rate.limited")
        assert "2 writes a minute" in refused.json()["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert _numbers(refused)[:2] == ("writes", 0)
        assert key.get("/v1/key").status_code == 200
    with caller(one, new_key(one)) as other:
        assert other.post(NOWHERE).status_code == 404


def test_the_settings_key_and_a_zero_have_no_limit(one: Service):
    """No budget, no headers."""
    with caller(one, new_key(one, limits=Limits(requests_per_minute=0))) as key:
        answers = [one.first.post(NOWHERE), one.first.get("/v1/key"), key.post(NOWHERE)]
    assert all("ratelimit" not in answer.headers for answer in answers)
    assert all("ratelimit-policy" not in answer.headers for answer in answers)


def test_a_stream_is_one_request(one: Service):
    """However long it stays open and whatever it sends."""
    render_id = one.make()["id"]
    with caller(one, new_key(one, limits=Limits(reads_per_minute=10))) as key:
        headers = {"Accept": "text/event-stream"}
        with key.stream("GET", f"/v1/renders/{render_id}/events", headers=headers) as stream:
            lines = stream.iter_lines()
            until(lambda: "render.queued" in next(lines))
            assert _numbers(stream)[:2] == ("reads", 9)
        assert _numbers(key.get("/v1/key"))[1] == 8


def _away(*services: Service) -> int:
    return sum(service.log.count("rates.away") for service in services)


def test_two_processes_share_a_budget(pair: tuple[Service, Service]):
    """Whatever process a request meets, together they let no more through than the key may have."""

    def spent() -> list[int]:
        with caller(pair[0], key) as here, caller(pair[1], key) as there, ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda n: (here, there)[n % 2].post(NOWHERE).status_code, range(40)))

    for _ in range(5):
        before, key = _away(*pair), new_key(pair[0], limits=Limits(requests_per_minute=15))
        answers = spent()
        if _away(*pair) == before:  # a machine so busy that Redis seemed away says nothing about sharing
            break
    assert (answers.count(404), answers.count(429)) == (15, 25)


def test_an_intake_goes_on_without_redis_and_back_with_it(one: Service, own_valkey: Running):
    """While it is away the process counts by itself, from nothing; one line in the log says so, and one when it is
    back."""
    _not_at_the_end_of_a_minute()
    with caller(one, new_key(one, limits=Limits(requests_per_minute=3))) as key:
        assert _numbers(key.post(NOWHERE))[1] == 2
        away, back = _away(one), one.log.count("rates.back")
        own_valkey.stop()
        answers = [key.post(NOWHERE) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        assert [_numbers(answer)[1] for answer in answers] == [2, 1, 0, 0]
        assert (_away(one), one.log.count("rates.back")) == (away + 1, back)
        own_valkey.__enter__()
        with caller(one, new_key(one)) as another:
            until(lambda: another.get("/v1/key").status_code == 200 and one.log.count("rates.back") > back)
        assert key.post(NOWHERE).status_code == 404
    assert (_away(one), one.log.count("rates.back")) == (away + 1, back + 1)


def test_a_flushed_redis_is_a_new_minute(own_valkey: Running):
    """Its scripts are gone too, and are sent again."""
    budgets = Budgets(_url(own_valkey))
    assert _allowed(budgets, "flushed", 3, 5) == 3
    with redis.Redis.from_url(_url(own_valkey)) as client:
        client.flushall()
        client.script_flush()
    assert _allowed(budgets, "flushed", 3, 5) == 3


def test_a_redis_that_hangs_costs_one_request_a_moment(own_valkey: Running, monkeypatch: pytest.MonkeyPatch):
    """The first waits for its time-out, the others do not wait at all; afterwards the counts are shared again."""
    budgets, neighbour = Budgets(_url(own_valkey)), Budgets(_url(own_valkey))
    monkeypatch.setattr(time, "time", lambda: 1_800_000_030.0)
    assert _allowed(budgets, "hung", 100, 10) == 10
    _signal(own_valkey, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert _allowed(budgets, "hung", 100, 200) == 100
        # 200 waits would be 10 s; between one and the next try lies a second.
        assert time.monotonic() - began < 0.9
    finally:
        _signal(own_valkey, signal.SIGCONT)
    until(lambda: budgets.spend(Policy("writes", 100), "hung").left < 90)
    assert neighbour.spend(Policy("writes", 100), "hung").left < 89


def test_a_redis_that_refuses_is_a_redis_that_is_away(own_valkey: Running, monkeypatch: pytest.MonkeyPatch):
    """One that is out of memory, or a replica, answers with an error."""
    monkeypatch.setattr(time, "time", lambda: 1_800_000_030.0)
    budgets = Budgets(_url(own_valkey))
    with redis.Redis.from_url(_url(own_valkey)) as client:
        client.config_set("maxmemory", "1")
        try:
            assert _allowed(budgets, "full", 3, 5) == 3
        finally:
            client.config_set("maxmemory", "0")


def test_a_window_slides(monkeypatch: pytest.MonkeyPatch):
    """Half a minute into the next one half of what was spent still counts: nobody has two budgets around its border."""
    budgets = Budgets(None)
    began = (time.time() // 60 + 2) * 60
    monkeypatch.setattr(time, "time", lambda: began + 1)
    assert _allowed(budgets, "slid", 100, 150) == 100
    monkeypatch.setattr(time, "time", lambda: began + 60 + 30)
    assert _allowed(budgets, "slid", 100, 150) == 50


@pytest.mark.parametrize("method", READS)
def test_looking_is_not_writing(method: str):
    """HEAD and GET draw on the same budget."""
    found = policy(method, Limits(reads_per_minute=7, requests_per_minute=1))
    assert found == Policy("reads", 7)


def test_a_flood_of_wrong_keys_meets_a_wall(one: Service):
    """Five keys that are not valid in a minute, and no other from that address is looked up; a header of the caller's
    own makes it no other address. A key that worked before still does."""
    known, fresh = new_key(one), new_key(one)
    _not_at_the_end_of_a_minute()
    with caller(one, known) as key:
        assert key.get("/v1/key").status_code == 200
        wrong = [one.nobody.get("/v1/key", headers={"Authorization": f"Bearer vv_wrong_{n}"}) for n in range(8)]
        codes = [answer.status_code for answer in wrong]
        assert codes == sorted(codes)
        # Those with which the settings' key was tried before it was installed count too.
        assert 1 <= codes.count(401) <= 5
        assert codes[5:] == [429, 429, 429]
        for forwarded in ("203.0.113.9", "203.0.113.10"):
            headers = {"Authorization": "Bearer vv_wrong_again", "X-Forwarded-For": forwarded}
            refused = one.nobody.get("/v1/key", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (429, "rate.limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert key.get("/v1/key").status_code == 200
    # It is not asked whether this one is valid: that is what a flood must not cost.
    with caller(one, fresh) as unseen:
        assert unseen.get("/v1/key").status_code == 429


def test_a_wrong_key_repeated_costs_no_budget(pair: tuple[Service, Service]):
    """It is remembered for a moment as wrong: one program with an old key does not lock its neighbours out."""
    headers = {"Authorization": "Bearer vv_an_old_one"}
    answers = [pair[1].nobody.get("/v1/key", headers=headers).status_code for _ in range(20)]
    assert set(answers) == {401}
