"""The commands of the compose file, run as they are: they make a video, are seen to be healthy, and leave in time."""

import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from standardwebhooks import Webhook

from deploy.local.alive import CHECKS
from tests.deploy import image
from tests.deploy.composed import SECRETS
from tests.deploy.containers import Containers, told
from tests.receivers import Receiver, well
from tests.stack import QUICK, until
from worker.media.probe import probe

START_SECONDS = 60
"""Nine Python programs on a machine that runs other tests at the same time."""
KEY = {"Authorization": f"Bearer {SECRETS['VIVIDEO_API_KEY']}"}
FLOWER = ("vivideo", SECRETS["FLOWER_PASSWORD"])
SMALL = {
    "NEMO_API_URL": "http://sandbox:8100",
    "VIVIDEO_ALLOW_LOCAL_ADDRESSES": "true",
    "VIVIDEO_STREAM_CONCURRENCY": "20",
    "VIVIDEO_IO_CONCURRENCY": "20",
    "VIVIDEO_MEDIA_CONCURRENCY": "1",
}


@pytest.fixture(scope="module")
def installation(built: Path, empty_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """Everything that the compose file starts, in its order, on an empty database; the code is the image's."""
    home = tmp_path_factory.mktemp("installation")
    path = [built, image.fence(home / "fence")]
    # `.env` as somebody fills it in; the short waits as `settings.env` would bring them.
    with Containers(home, path, empty_database, SECRETS | SMALL, **QUICK) as running:
        running.start("valkey")
        running.start("sandbox", "--no-draw", "--export-seconds", "0.3", "--min-poll-seconds", "0.5")
        migrating = running.start("migrate")
        assert migrating.wait(START_SECONDS) == 0, running.log("migrate")
        for name in CHECKS:
            running.start(name)
        for name in CHECKS:
            _wait_for(running, name)
        yield running


def _wait_for(running: Containers, name: str) -> None:
    """Until its health check passes."""
    deadline = time.monotonic() + START_SECONDS
    while (check := running.check(name)).returncode != 0:
        assert running.running[name].poll() is None, running.log(name)
        assert time.monotonic() < deadline, told(check)
        time.sleep(0.5)


def test_the_migration_is_a_step_of_its_own(installation: Containers, empty_database: str):
    """It says from what to what, is harmless to repeat, and has put key and accounts on file by then."""
    assert "went from no tables to 0" in installation.log("migrate")
    installation.start("migrate").wait(START_SECONDS)
    assert "was up to date at 0" in installation.log("migrate")
    with psycopg.connect(empty_database) as connection:
        counts = connection.execute("SELECT (SELECT count(*) FROM api_keys), (SELECT count(*) FROM accounts)")
        assert counts.fetchone() == (1, 1)


def test_the_broker_asks_for_its_password_and_forgets_nothing(installation: Containers):
    """Nobody gets in without it, though it is in no command line; full, it refuses instead of dropping messages."""
    port = int(installation.ports["6379"])
    with pytest.raises(redis.AuthenticationError):
        redis.Redis("127.0.0.1", port, retry=Retry(NoBackoff(), 0)).ping()
    with redis.Redis("127.0.0.1", port, password=SECRETS["VALKEY_PASSWORD"]) as known:
        assert known.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert known.config_get("appendonly") == {"appendonly": "yes"}
    running = Path(f"/proc/{installation.running['valkey'].pid}/cmdline").read_bytes()
    assert b"valkey-server" in running
    assert SECRETS["VALKEY_PASSWORD"].encode() not in running


def test_a_render_goes_through(installation: Containers, tmp_path: Path):
    """A request to the published port becomes a video that plays, by way of every process."""
    api = installation.address("8000")
    wish = {"prompt": "create a 2-second video about a red kite"}
    accepted = httpx.post(f"{api}/v1/renders", json=wish, headers=KEY)
    assert accepted.status_code == 202, accepted.text
    url = f"{api}{accepted.json()['links']['self']}"
    done = until(partial(_final, url), START_SECONDS, what="the end of the render")
    assert done["status"] == "succeeded", done["error"]
    video = tmp_path / "kite.mp4"
    video.write_bytes(httpx.get(f"{api}{done['result']['url']}", headers=KEY, follow_redirects=True).content)
    facts = probe(video)
    assert (facts.video_codec, round(facts.duration_seconds)) == ("h264", 2)
    assert httpx.get(f"{api}/readyz").status_code == 200


def test_a_signed_message_becomes_a_video_and_a_signed_webhook(installation: Containers):
    """Who keeps others' secrets has the key for them: the API verifies what comes in, a worker signs what goes out."""
    with Receiver({"/hook": well}) as receiver, httpx.Client(base_url=installation.address("8000")) as api:
        endpoint = _made(api, "webhook-endpoints", {"url": f"{receiver.url}/hook", "events": ["render.succeeded"]})
        kite = {"name": "kite", "prompt": "create a 2-second video about a {{ color }} kite"}
        _made(api, "templates", kite | {"variables": {"color": {"type": "text"}}})
        mapping = {"variables": {"color": "/color"}}
        source = {"style": "bearer", "secret": "known-to-the-source", "template": "kite", "mapping": mapping}
        trigger = _made(api, "triggers", source)
        signed = {"Authorization": "Bearer known-to-the-source", "webhook-id": "the-first"}
        came = api.post(trigger["links"]["deliveries"], json={"color": "green"}, headers=signed)
        assert (came.status_code, came.json()["verdict"]) == (200, "rendered"), came.text
        (told,) = until(lambda: receiver.on("/hook"), START_SECONDS, what="the webhook of the render's end")
        assert Webhook(endpoint["secret"]).verify(told.body, dict(told.headers)) == told.event
        assert told.event["data"]["render_id"] == came.json()["render_id"]


def _made(api: httpx.Client, what: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(f"/v1/{what}", json=body, headers=KEY)
    assert answer.status_code == 201, answer.text
    return answer.json()


def _final(url: str) -> dict[str, object] | None:
    body = httpx.get(url, headers=KEY).json()
    return body if body["status"] in ("succeeded", "failed", "canceled", "expired") else None


def test_flower_wants_its_password(installation: Containers):
    """Without it nothing is shown and nothing can be sent; with it the workers are."""
    flower = installation.address("5555")
    assert httpx.get(f"{flower}/workers").status_code == 401
    assert httpx.get(f"{flower}/workers", auth=("vivideo", "guessed")).status_code == 401
    assert httpx.post(f"{flower}/api/task/send-task/housekeeping", json={}).status_code == 401
    shown = httpx.get(f"{flower}/workers", auth=FLOWER, params={"json": "1"})
    assert shown.status_code == 200
    names = {f"{kind}@{socket.gethostname()}" for kind in ("stream", "io", "media")}
    until(lambda: names <= {one["hostname"] for one in _workers(flower)}, what="the workers in Flower")


def _workers(flower: str) -> list[dict[str, object]]:
    return httpx.get(f"{flower}/workers", auth=FLOWER, params={"json": "1"}).json()["data"]


def test_a_database_that_is_away_speaks_against_nobody(installation: Containers):
    """While PostgreSQL cannot be asked, no worker and no dispatcher counts as unhealthy: a restart would mend nothing,
    and end streams that are paid for."""
    away = Containers(installation.home / "away", [], "postgresql://vivideo@127.0.0.1:1/vivideo", SECRETS, **QUICK)
    for name in ("dispatcher", "worker-stream"):
        assert told(away.check(name)) == (0, "the database does not answer: nothing is known\n")


def test_each_leaves_in_time_and_is_then_seen_to_be_gone(installation: Containers):
    """After SIGTERM every process ends by itself within its grace period, the intake with a stream of events open too;
    the health check that passed while it ran fails now."""
    api = installation.address("8000")
    with httpx.stream("GET", f"{api}/v1/events", headers=KEY | {"Accept": "text/event-stream"}) as following:
        assert following.status_code == 200
        with ThreadPoolExecutor(len(CHECKS)) as pool:
            left = dict(zip(CHECKS, pool.map(partial(_leave, installation), CHECKS), strict=True))
    assert {name: (status, check.returncode) for name, (status, check) in left.items()} == dict.fromkeys(CHECKS, (0, 1))
    assert "no heartbeat within a lease" in left["worker-stream"][1].stderr
    assert "not connected" in left["dispatcher"][1].stderr
    for name in ("valkey", "sandbox"):
        installation.stop(name)
        installation.ended(name)


def _leave(installation: Containers, name: str) -> tuple[int, subprocess.CompletedProcess[str]]:
    """Its exit status, and its health check after that."""
    installation.stop(name)
    return installation.ended(name), installation.check(name)
