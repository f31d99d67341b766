"""Every metric there is. A new one is declared here, gets a row in docs/metrics.md (a test compares), and is counted by
one line where it happens.

Labels have few values, all of them words of this service or codes of the backend's contract: never an id, an address,
an owner or a text that somebody sent. Units are base units. What a label means is said once, in docs/metrics.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from worker.renders.states import QUEUE_OF, Stage

disable_created_metrics()  # a second series for each, which says when its process began: `process_start` says that

REGISTRY = CollectorRegistry()
"""This service's own: the library's has metrics that nobody here described."""

LONG = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 900)
"""Seconds of work: from a statement of the database to the longest life of a stream."""
SHORT = (0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60)
"""Seconds of one call: from a read to a read's time-out."""
LATE = (0.1, 0.3, 1, 3, 10, 30, 60, 300)
"""Seconds after a time that was set: a tick of the dispatcher, a message lost, workers that cannot follow."""


def begin(counter: Counter, *values: Iterable[str]) -> None:
    """Show 0 for every combination of these values, one list for each label: `increase` sees no step from a series
    that was not there to 1, so the first of its kind would raise no alert."""
    for combination in product(*values):
        counter.labels(*combination)


def _counter(name: str, told: str, *labels: str, known: tuple[Iterable[str], ...] = ()) -> Counter:
    counter = Counter(name, told, labels, registry=REGISTRY)
    if known:
        begin(counter, *known)
    return counter


def _seconds(name: str, told: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, told, labels, buckets=buckets, registry=REGISTRY)


# Renders.
RENDERS_ACCEPTED = _counter(
    "vivideo_renders_accepted_total", "Runs taken on, new renders and retries.", "how", known=(("new", "retry"),)
)
RUNS_ENDED = _counter("vivideo_runs_ended_total", "Runs that came to a final status.", "status", "code")
STAGE_SECONDS = _seconds(
    "vivideo_stage_seconds", "Seconds of work on a stage, from claim to outcome.", LONG, "stage", "outcome"
)
VIDEOS_EXAMINED = _counter(
    "vivideo_videos_examined_total",
    "Finished videos by what examining them came to.",
    "outcome",
    known=(("passed", "flagged", "unknown"),),
)
LEASES_LOST = _counter(
    "vivideo_leases_lost_total", "Works whose render another worker had moved meanwhile.", "stage", known=(Stage,)
)
TAKEOVERS = _counter("vivideo_takeovers_total", "Renders taken from a worker that no longer works on them.", "why")

# The backend.
REMOTE_CALLS = _counter("vivideo_remote_calls_total", "Calls to the backend by their answer.", "call", "code")
REMOTE_CALL_SECONDS = _seconds(
    "vivideo_remote_call_seconds", "Seconds of a call to the backend, its whole answer included.", SHORT, "call"
)
INTENTS = _counter("vivideo_intents_total", "Paid messages of which something became known.", "outcome")
STREAMS_OPEN = Gauge(
    "vivideo_streams_open",
    "Paid messages being sent or followed.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
FIRST_EVENT_SECONDS = _seconds(
    "vivideo_stream_first_event_seconds", "Seconds from a paid message to its stream's first real event.", LONG
)
POLL_LATENESS_SECONDS = _seconds(
    "vivideo_poll_lateness_seconds", "Seconds from when an export was due for a question to the question.", LATE
)

# The queue.
BROKER_MESSAGES = _counter(
    "vivideo_broker_messages_total",
    "Wake-up calls given to the broker.",
    "queue",
    "outcome",
    known=(frozenset(QUEUE_OF.values()), ("sent", "failed")),
)
SENT_AGAIN = _counter(
    "vivideo_sent_again_total", "Wake-up calls repeated because nobody claimed in time.", "stage", known=(Stage,)
)

# Webhooks.
WEBHOOK_ATTEMPTS = _counter("vivideo_webhook_attempts_total", "Tries to deliver a webhook.", "outcome")
WEBHOOK_ATTEMPT_SECONDS = _seconds(
    "vivideo_webhook_attempt_seconds", "Seconds of a try, to the last byte that is read of the answer.", SHORT
)
WEBHOOK_LATENESS_SECONDS = _seconds(
    "vivideo_webhook_lateness_seconds", "Seconds from when a webhook was due to its try.", LATE
)

# The database.
DATABASE_RETRIES = _counter("vivideo_database_retries_total", "Transactions run again after a fault.", "error")

# The intake.
HTTP_REQUESTS = _counter("vivideo_http_requests_total", "Requests answered.", "route", "method", "status")
HTTP_REQUEST_SECONDS = _seconds(
    "vivideo_http_request_seconds", "Seconds from a request to the end of its answer.", SHORT, "route", "method"
)


@dataclass(frozen=True)
class Read:
    """A gauge that is read from the database or the system when somebody asks."""

    name: str
    told: str
    labels: tuple[str, ...] = ()


RENDERS_OPEN = Read("vivideo_renders_open", "Renders that are not final.", ("status", "reason"))
QUEUE_RENDERS = Read(
    "vivideo_queue_renders", "Renders under way by where their next step stands.", ("queue", "stage", "state")
)
QUEUE_OVERDUE_SECONDS = Read(
    "vivideo_queue_overdue_seconds", "How long the longest due step has not been claimed.", ("queue",)
)
LANES = Read("vivideo_lanes", "Lanes that have renders nobody began.", ("priority",))
LANE_RENDERS = Read("vivideo_lane_renders", "Renders that nobody began.", ("priority",))
LANE_OLDEST_SECONDS = Read("vivideo_lane_oldest_wait_seconds", "How long the first of them has waited.", ("priority",))
WORKERS = Read("vivideo_workers", "Worker processes that report.", ("kind",))
CIRCUIT_OPEN = Read(
    "vivideo_circuit_open", "1: the backend is broken, calls are held back and probed; 0: it is called."
)
MESSAGES_WATCHED = Read("vivideo_messages_watched", "Paid messages that nobody could know about, read on for a day.")
WEBHOOKS_PENDING = Read("vivideo_webhooks_pending", "Webhooks that are to be tried, or to be tried again.")
WEBHOOK_ENDPOINTS_DISABLED = Read("vivideo_webhook_endpoints_disabled", "Endpoints that get nothing.", ("reason",))
DATABASE_READABLE = Read("vivideo_database_readable", "1: the gauges from the database are there; 0: it is away.")
BUILD_INFO = Read("vivideo_build_info", "Always 1; what runs here.", ("process", "version", "python"))

FROM_DATABASE = (
    RENDERS_OPEN,
    QUEUE_RENDERS,
    QUEUE_OVERDUE_SECONDS,
    LANES,
    LANE_RENDERS,
    LANE_OLDEST_SECONDS,
    WORKERS,
    CIRCUIT_OPEN,
    MESSAGES_WATCHED,
    WEBHOOKS_PENDING,
    WEBHOOK_ENDPOINTS_DISABLED,
    DATABASE_READABLE,
)

FROM_SYSTEM = (
    BUILD_INFO,
    Read("vivideo_process_start_time_seconds", "When the process began, seconds since 1970."),
    Read("vivideo_process_cpu_seconds", "Processor time used; a counter (`_total`)."),
    Read("vivideo_process_resident_memory_bytes", "Memory held."),
    Read("vivideo_process_virtual_memory_bytes", "Addresses reserved."),
    Read("vivideo_process_open_fds", "Open files."),
    Read("vivideo_process_max_fds", "Open files allowed."),
)


def names() -> Iterator[str]:
    """Of every metric, as it is scraped (a histogram's without `_bucket`, `_sum`, `_count`)."""
    for metric in REGISTRY.collect():
        yield f"{metric.name}_total" if metric.type == "counter" else metric.name
    yield from (one.name for one in (*FROM_DATABASE, *FROM_SYSTEM))
