"""One log vocabulary: `log.info("stage.finished", render=id, stage="upload", ms=412)`.

Event names are listed in `EVENTS`; secrets never reach a line: values under the names in `SECRET` are masked.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

EVENTS = frozenset(
    {
        "account.paused",
        "account.renewed",
        "account.resumed",
        "account.unreadable",
        "backend.surprise",
        "balance.fault",
        "balance.unread",
        "batch.fault",
        "batch.finished",
        "batch.paused",
        "cancel.export",
        "cancel.unseen",
        "circuit.closed",
        "circuit.opened",
        "circuit.unwritten",
        "catalog.failed",
        "catalog.fault",
        "catalog.lost",
        "catalog.read",
        "chore.contended",
        "chore.fault",
        "chore.too_long",
        "claim.missed",
        "claim_link.missing",
        "database.away",
        "database.back",
        "database.ready",
        "database.retry",
        "database.stalled",
        "dispatcher.started",
        "dispatcher.stopped",
        "draft.restless",
        "export.lost",
        "feed.away",
        "feed.fault",
        "goodbye.failed",
        "files.cleared",
        "files.left",
        "heartbeat.failed",
        "lease.lost",
        "message.ended",
        "metrics.unread",
        "metrics.unserved",
        "owners.not_installed",
        "poll.fault",
        "poll.unwritten",
        "publication.again",
        "publication.failed",
        "publication.fault",
        "publication.published",
        "quality.flagged",
        "quality.unknown",
        "rates.away",
        "rates.back",
        "remote.refused",
        "render.deadly",
        "render.taken_over",
        "renders.expired",
        "request.done",
        "request.fault",
        "result.refused",
        "send.failed",
        "stage.ended",
        "stage.fault",
        "stage.surprise",
        "still_working.untold",
        "strays.kept",
        "surprises.unwritten",
        "trigger.fault",
        "trigger.shed",
        "trigger.unverified",
        "watch.found",
        "watch.unread",
        "webhook.disabled",
        "webhook.fault",
        "webhook.late",
        "webhook.unsignable",
        "worker.gone",
        "worker.hurried",
        "worker.strays",
        "worker.unregistered",
    }
)
"""Every event name there is; a test finds one that is not here."""

SECRET = frozenset({"token", "authorization", "api_key", "secret", "password", "key", "claim_token"})


def _mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if name.lower() in SECRET:
            event[name] = "***"
    return event


def setup(process: str, *, level: str = "INFO") -> None:
    """Configure structlog and the standard logging for one process; lines go to stderr as key=value or, where
    stderr is no terminal, as JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=False)
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True)
    # httpx logs every request line, result addresses (signed) included: never at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)


def get(name: str) -> Any:
    """A bound logger."""
    return structlog.get_logger(name)
