"""Every setting of the service, typed, grouped, documented where it is declared.

Read from the environment and from `.env`. The vendor's names (`NEMO_*`, `SKILL_SOURCE`) are kept as they are; ours
begin with `VIVIDEO_`. Waits are decimal seconds with any number of digits ("30", "0.6").
"""

import re
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _seconds(value: object) -> object:
    """Pydantic's own timedelta refuses "30" and "0.6": parse decimal seconds first."""
    if isinstance(value, timedelta):
        return value
    try:
        return timedelta(seconds=float(str(value)))
    except ValueError:
        raise ValueError("give a number of seconds, for example 30 or 0.6") from None


Seconds = Annotated[timedelta, BeforeValidator(_seconds), Field(ge=timedelta(0))]


def _each(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


SeveralSeconds = Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(_each)]
"""Separated by commas."""


class _Group(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=".env",
        env_prefix="VIVIDEO_",
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a secret of the wrong form would stand in full in a traceback that is kept
    )


class Upstream(_Group):
    """The remote render backend."""

    api_url: str = Field("https://mega-api-prod.nemovideo.ai", validation_alias="NEMO_API_URL")
    web_url: str = Field("https://nemovideo.com", validation_alias="NEMO_WEB_URL")
    token: SecretStr | None = Field(None, validation_alias="NEMO_TOKEN")
    """The first registered account's token; with none, one anonymous trial per installation is used."""
    client_id: str | None = Field(None, validation_alias="NEMO_CLIENT_ID")
    """The installation's client id (UUID); made once and kept in the database when not given."""
    skill_source: str | None = Field(None, validation_alias="SKILL_SOURCE")
    """Overrides the platform named in the attribution headers."""


class Servers(_Group):
    """Servers of yours; on one machine `vivideo up` embeds what is not named."""

    database_url: str = "postgresql://vivideo@127.0.0.1:5432/vivideo"
    broker_url: str = "redis://127.0.0.1:6379/0"
    redis_url: str | None = None
    """For rate limits; the broker's when that is Redis, else each API process counts for itself."""
    storage_url: str | None = None
    """`file:///…` or `s3://bucket/prefix`; `results/` in the state directory by default."""
    state_dir: Path = Path(".vivideo")
    api_host: str = "127.0.0.1"
    api_port: int = 8000
    flower_port: int = 5555
    api_key: SecretStr | None = None
    """The first owner's key (`vv_…`), without rate limits."""

    @field_validator("api_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"vv_[\x21-\x7e]{4,197}", value.get_secret_value()):
            raise ValueError("begins with vv_ and has 7 to 200 visible ASCII characters")
        return value

    allow_local_addresses: bool = False
    """Development: addresses that customers give may be http, and of this machine or its network."""
    metrics_host: str = "127.0.0.1"
    """Where dispatcher and workers answer scrapes."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """One for each process; 0: this one answers none."""
    metrics_token: SecretStr | None = Field(default=None, min_length=16)
    """What a scrape of the API's `/metrics` from elsewhere than this machine has to bring."""
    secret_key: SecretStr | None = None
    """Encrypts tokens at rest (any text of at least 32 characters); `up` makes one in the state directory."""

    @property
    def redis(self) -> str | None:
        """As redis-py writes addresses; None where there is no Redis."""
        url = self.redis_url or self.broker_url
        if url.startswith("redis+socket://"):
            # Celery's way: redis+socket:///path?virtual_host=1
            path, _, query = url.removeprefix("redis+socket://").partition("?")
            number = parse_qs(query).get("virtual_host", ["0"])[0]
            return f"unix://{path}?db={number}"
        return url if url.startswith(("redis://", "rediss://", "unix://")) else None

    @property
    def storage(self) -> str:
        return self.storage_url or (self.state_dir.absolute() / "results").as_uri()


class Rates(_Group):
    """How often the intake may be asked. A key's own limits outrank the first two; 0 = no limit."""

    writes_per_minute: int = Field(default=600, ge=0)
    """Per key, calls that change something: a batch of thousands sent one by one still takes minutes, not hours."""
    reads_per_minute: int = Field(default=6000, ge=0)
    """Per key, GET and HEAD: a hundred a second, so that who polls does not use up what they need to write."""
    failed_keys_per_minute: int = Field(default=60, ge=0)
    """Per peer address, keys that are not valid: each costs a look at the database, which a flood must not."""
    unverified_messages_per_minute: int = Field(default=60, ge=0)
    """Per peer address, messages that are not signed with their trigger's secret: beyond it they are looked at seldom,
    and what is rightly signed is taken all the same, so that a proxy's address may have one too."""
    messages_per_minute: int = Field(default=6000, ge=0)
    """Per trigger, messages that are rightly signed: each is kept for weeks, and a shop's worst burst is far below."""
    kept_message_bytes: int = Field(default=4 * 1024**3, ge=0)
    """Per owner, bodies of triggers' messages: a month of a large shop's. The rows around them are bound by
    `messages_per_minute` alone: some 1 KB each, for a month."""


class Capacity(_Group):
    """How much one worker process holds at once."""

    stream_concurrency: int = 1500
    """Open streams per worker-stream process: 1,500 fit one core and 256 MB."""
    io_concurrency: int = 200
    media_concurrency: int = 2
    """Processes for probing and posters: one per core."""
    account_slots: int = 0
    """Renders in flight per account; 0 = no limit."""


class Waits(_Group):
    """Every wait, with the contract's value as default. Tests run the same code with small values."""

    export_poll_seconds: Seconds = timedelta(seconds=30)
    """Between two questions after one export; the contract's interval."""
    export_max_polls: int = 40
    """20 minutes of polls: exports take 30-90 s, so this one is lost."""
    stream_idle_seconds: Seconds = timedelta(seconds=120)
    """Nothing at all on a stream, not even a heartbeat."""
    stream_silence_seconds: Seconds = timedelta(seconds=600)
    """Nothing but heartbeats on a stream."""
    stream_max_seconds: Seconds = timedelta(seconds=900)
    """A stream's longest life."""
    settle_seconds: Seconds = timedelta(seconds=5)
    """Two equal reads of a draft this far apart: it is finished (music and titles come after the raw video)."""
    still_working_seconds: Seconds = timedelta(seconds=120)
    lookup_first_seconds: Seconds = timedelta(seconds=30)
    lookup_next_seconds: Seconds = timedelta(seconds=60)
    lookup_reads: int = 5
    """Unchanged reads before a message may count as not applied."""
    watch_seconds: Seconds = timedelta(minutes=10)
    """Between two reads of a session whose message nobody could know about when its run ended."""
    watch_for_seconds: Seconds = timedelta(days=1)
    """How long such a session is read on."""
    rate_limit_seconds: Seconds = timedelta(seconds=30)
    """After a 429 without Retry-After; twice as long each time it comes again soon after, up to ten minutes."""
    circuit_seconds: Seconds = timedelta(seconds=5)
    """How long nobody calls a backend that fails; doubled after each failed probe, up to `retry_longest_seconds`."""
    circuit_failures: int = Field(default=5, ge=1)
    """Calls of one process that fail in a row, none answered between, before nobody calls."""
    lease_seconds: Seconds = timedelta(seconds=45)
    """A worker silent for this long loses its renders; heartbeats come three times as often."""
    redispatch_seconds: Seconds = timedelta(seconds=30)
    """Sent and not claimed for this long: sent again, then ever less often, up to eight times this."""
    dispatch_tick_seconds: Seconds = timedelta(seconds=1)
    """The dispatcher's look when nothing wakes it."""
    credits_seconds: Seconds = timedelta(seconds=60)
    """How soon to try again without credits: a refused message costs nothing, and a top-up should not wait long."""
    subscription_seconds: Seconds = timedelta(minutes=5)
    """How soon to try a blocked export again: a subscription is bought once, not every minute."""
    http_connect_seconds: Seconds = timedelta(seconds=10)
    http_read_seconds: Seconds = timedelta(seconds=60)
    """One read of an ordinary call."""
    request_body_seconds: Seconds = timedelta(seconds=30)
    """A whole JSON body on its way to the intake: 256 KiB over a slow telephone take 20 s."""
    message_body_seconds: Seconds = timedelta(seconds=15)
    """A shop's whole message, of whom nobody knows yet who sends it: shops' servers do it in one."""
    upload_idle_seconds: Seconds = timedelta(seconds=60)
    """Not one byte of an upload: a line that comes back at all does so in less."""
    upload_max_seconds: Seconds = timedelta(hours=1)
    """A whole upload: 200 MB at half a megabit a second."""
    key_check_seconds: Seconds = timedelta(seconds=30)
    """Between two looks at the key of an open stream of events: it ends soon after its key."""
    retry_first_seconds: Seconds = timedelta(seconds=1)
    """First pause after a network fault or 5xx; doubled each time, with jitter, up to `retry_longest_seconds`."""
    retry_longest_seconds: Seconds = timedelta(seconds=60)
    retry_for_seconds: Seconds = timedelta(hours=1)
    """A stage whose calls fail for this long gives up, so that every render ends."""
    publish_lease_seconds: Seconds = timedelta(seconds=120)
    """A publication whose worker wrote nothing for this long is another's: longer than any wait for a shop's answer."""
    publish_read_seconds: Seconds = timedelta(seconds=30)
    """Without a byte from a shop, in either direction."""
    publish_poll_seconds: Seconds = timedelta(seconds=5)
    """Between a shop's having a video and the first question whether it has processed it; then ever longer."""
    publish_longest_seconds: Seconds = timedelta(hours=1)
    """The longest pause after a fault in publishing; the first is `retry_first_seconds`."""
    publish_for_seconds: Seconds = timedelta(days=3)
    """A publication that fails for this long is given up: a shop's weekend."""
    webhook_timeout_seconds: Seconds = timedelta(seconds=20)
    """One try of a webhook, from the look-up of its host to the last byte that is read of the answer."""
    webhook_retry_seconds: SeveralSeconds = tuple(
        timedelta(seconds=wait) for wait in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    )
    """After each failed try of a webhook, up to a fifth more; after the last one's it is given up. The schedule of
    Standard Webhooks: ten tries within three days and a bit."""
    webhook_disable_after_seconds: Seconds = timedelta(days=5)
    """An endpoint that took nothing for this long, from its first failed try on, gets nothing more."""

    @property
    def heartbeat(self) -> timedelta:
        return self.lease_seconds / 3

    @property
    def call_longest(self) -> timedelta:
        """After it an ordinary call has ended, or whoever made it."""
        return max(self.lease_seconds, self.http_connect_seconds + self.http_read_seconds)

    @property
    def webhook_lease(self) -> timedelta:
        """For one try of a webhook and what is written of it, the database away for a while included."""
        return self.webhook_timeout_seconds + timedelta(seconds=25)

    @property
    def send_window(self) -> timedelta:
        """From a committed intent to its bytes: shorter than a lease, so a look-up never meets a late sender."""
        return self.lease_seconds / 3


class Settings:
    """All groups together: `settings().waits.settle_seconds`."""

    def __init__(self) -> None:
        # The checker takes a field that has an alias and no keyword default for a required one.
        self.upstream = Upstream()  # pyright: ignore[reportCallIssue]
        self.servers = Servers()
        self.rates = Rates()
        self.capacity = Capacity()
        self.waits = Waits()


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
