"""The Redis that counts requests, where there is one."""

from collections.abc import Iterator

import redis

from worker.doctor.findings import Case, Finding, ok, warn
from worker.remote.text import redact

NAME = "limits"


def look(case: Case) -> Iterator[Finding]:
    url = case.settings.servers.redis
    if url is None:
        yield ok(NAME, "no Redis: each API process counts requests for itself")
        return
    try:
        with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
            client.ping()
            yield ok(NAME, "the Redis for request limits answers")
    except (redis.RedisError, OSError, ValueError) as error:
        words = redact(f"{type(error).__name__}: {error}")
        remedy = "start it, or correct VIVIDEO_REDIS_URL; until then each API process counts for itself"
        yield warn(NAME, f"the Redis for request limits does not answer: {words}", remedy)
