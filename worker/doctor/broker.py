"""The broker: reachable, and never dropping a message to make room."""

from collections.abc import Iterator
from typing import Any

from kombu.connection import Connection

from config.celery_settings import celery_settings
from worker.doctor.findings import Case, Finding, fail, ok, warn
from worker.remote.text import redact

NAME = "broker"
POLICY = "noeviction"


def look(case: Case) -> Iterator[Finding]:
    url = case.settings.servers.broker_url
    options = {**celery_settings(url)["broker_transport_options"], "socket_timeout": 5, "socket_connect_timeout": 5}
    try:
        with Connection(url, connect_timeout=5, transport_options=options) as connection:
            shown = connection.as_uri()
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=5)
            yield ok(NAME, f"{shown} answers")
            if connection.transport.driver_type == "redis":
                yield _policy(connection.default_channel)
    except Exception as error:  # kombu, redis and amqp each raise trees of their own
        words = redact(f"{type(error).__name__}: {error}")
        yield fail(
            NAME,
            f"does not answer: {words}",
            "start it, or correct VIVIDEO_BROKER_URL; renders are taken meanwhile, and go on when it is back",
        )


def _policy(channel: Any) -> Finding:
    try:
        policy = channel.client.config_get("maxmemory-policy").get("maxmemory-policy")
    except Exception as error:  # a hosted Redis may refuse CONFIG
        seen = f"its maxmemory-policy cannot be read ({type(error).__name__})"
        return warn(NAME, seen, f"make sure that it is {POLICY}")
    if policy != POLICY:
        return warn(
            NAME,
            f"maxmemory-policy is {policy}: a full Redis drops messages",
            f"CONFIG SET maxmemory-policy {POLICY} (what is dropped is sent again after 30 s, again and again)",
        )
    return ok(NAME, f"maxmemory-policy is {POLICY}")
