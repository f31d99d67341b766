"""The settings: readable, and such that the service can do its work with them."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from config.settings import Upstream, Waits
from worker.doctor.findings import Case, Finding, fail, ok, warn

NAME = "settings"
SHORTEST_KEY = 32
CONTRACT_POLL = timedelta(seconds=30)
LONGEST_WAIT = timedelta(days=1)
LEAST = {
    "lease_seconds": timedelta(seconds=3),  # three heartbeats fit in
    "http_connect_seconds": timedelta(milliseconds=100),
    "http_read_seconds": timedelta(milliseconds=100),
    "stream_idle_seconds": timedelta(milliseconds=100),
    "stream_max_seconds": timedelta(milliseconds=100),
    "export_poll_seconds": timedelta(milliseconds=100),
    "dispatch_tick_seconds": timedelta(milliseconds=10),
}
"""Below these the service would do nothing but wake up, or give up before it began."""


def look(case: Case) -> Iterator[Finding]:
    try:
        _ = case.settings  # read for the first time
    except ValidationError as error:
        yield from map(_unreadable, error.errors())
        return
    yield ok(NAME, _source(case))


def look_at_values(case: Case) -> Iterator[Finding]:
    settings = case.settings
    yield _secret_key(settings.servers.secret_key)
    yield from _waits(settings.waits, real=not is_local(settings.upstream.api_url))
    yield _token(settings.upstream.token)
    yield _address(settings.upstream)


def is_local(url: str) -> bool:
    """Whether a URL names this very machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _unreadable(problem: object) -> Finding:
    about = dict(problem) if isinstance(problem, dict) else {}
    name = ".".join(map(str, about.get("loc", ())))
    name = name if name.isupper() else f"VIVIDEO_{name.upper()}"
    return fail(NAME, f"{name}: {about.get('msg', 'cannot be read')}", f"correct {name} (docs/settings.md)")


def _source(case: Case) -> str:
    file = Path(".env").absolute()
    where = f"{file} and the environment" if file.exists() else f"the environment alone, no {file}"
    return f"read from {where}" + (", with those of the running stack" if case.stack else "")


def _secret_key(key: SecretStr | None) -> Finding:
    if key is None or len(key.get_secret_value()) < SHORTEST_KEY:
        return fail(
            NAME,
            "VIVIDEO_SECRET_KEY is missing" if key is None else "VIVIDEO_SECRET_KEY is too short",
            f"set it as the workers have it, at least {SHORTEST_KEY} characters (`vivideo up` makes one: the file "
            "secret-key in the state directory)",
        )
    return ok(NAME, "VIVIDEO_SECRET_KEY is set")


def _waits(waits: Waits, *, real: bool) -> Iterator[Finding]:
    broken = [name for name, least in LEAST.items() if getattr(waits, name) < least]
    for name in broken:
        least = LEAST[name].total_seconds()
        yield fail(NAME, f"{_setting(name)} is below {least:g} s", f"set {_setting(name)} to its default or more")
    odd = list(_odd(waits, real=real))
    for seen, remedy in odd:
        yield warn(NAME, seen, remedy)
    if not broken and not odd:
        yield ok(NAME, f"{len(Waits.model_fields)} waits, none out of reason")


_OF_DAYS = frozenset({"publish_for_seconds", "webhook_disable_after_seconds"})
"""They say for how long others may be away, not how long a step waits."""


def _odd(waits: Waits, *, real: bool) -> Iterator[tuple[str, str]]:
    for name in Waits.model_fields:
        value = getattr(waits, name)
        if isinstance(value, timedelta) and name not in _OF_DAYS and value > LONGEST_WAIT:
            yield f"{_setting(name)} is longer than a day", "give it in seconds"
    if real and waits.export_poll_seconds < CONTRACT_POLL:
        yield (
            "VIVIDEO_EXPORT_POLL_SECONDS is below the contract's 30",
            "the backend may slow this account down: unset it",
        )
    if not waits.stream_idle_seconds <= waits.stream_silence_seconds <= waits.stream_max_seconds:
        yield "idle, silence and longest life of a stream are not in this order", "unset VIVIDEO_STREAM_…_SECONDS"
    if waits.retry_first_seconds > waits.retry_longest_seconds:
        yield "VIVIDEO_RETRY_FIRST_SECONDS is above VIVIDEO_RETRY_LONGEST_SECONDS", "exchange them"
    if real and waits.lookup_reads < 2:
        yield "VIVIDEO_LOOKUP_READS is below 2", "one reading proves nothing: unset it"


def _token(token: SecretStr | None) -> Finding:
    value = token.get_secret_value() if token is not None else None
    if value is None:
        return ok(NAME, "no NEMO_TOKEN: the accounts on file are used, or the one anonymous trial")
    if value.lower().startswith("bearer ") or not value.isascii() or any(c.isspace() or c in "\"'" for c in value):
        return fail(
            NAME,
            "NEMO_TOKEN has quotes, spaces or a `Bearer` in it",
            "give the token alone, as the account's page shows it",
        )
    return ok(NAME, f"NEMO_TOKEN is set, {len(value)} characters")


def _address(upstream: Upstream) -> Finding:
    try:
        parts = urlsplit(upstream.api_url)
    except ValueError:  # an IPv6 address without its bracket
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        return fail(
            NAME, "NEMO_API_URL is no address of a backend", "give https://host, nothing behind it; or unset it"
        )
    if parts.scheme == "http" and not is_local(upstream.api_url):
        return fail(
            NAME, f"NEMO_API_URL is plain http to {parts.hostname}", "use https: the token would go in the clear"
        )
    return ok(NAME, f"the backend is {parts.scheme}://{parts.netloc}{parts.path}")


def _setting(name: str) -> str:
    return f"VIVIDEO_{name.upper()}"
