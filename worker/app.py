"""The Celery app: its settings, which queue serves which task, and the signals of a worker's life."""

import logging
from typing import Any

from celery import Celery, signals

from config.celery_settings import celery_settings
from config.logging import get, setup
from config.settings import settings
from worker import leaving, liveness
from worker.metrics import serving
from worker.metrics.declared import BROKER_MESSAGES
from worker.renders.states import QUEUE_OF, Stage

log = get(__name__)

app = Celery("vivideo", include=["worker.tasks"])
app.conf.update(celery_settings(settings().servers.broker_url))
app.conf.beat_schedule = {
    "housekeeping": {"task": "housekeeping", "schedule": 60.0, "options": {"queue": "io", "expires": 60}},
}

TASK_OF = {stage: f"stage.{stage.value}" for stage in Stage}


def send(stage: Stage, render_id: str, lease: int) -> bool:
    """Wake a worker for a render at `stage` whose lease number is `lease`. False when the broker does not take it: the
    dispatcher sends again."""
    return _send(TASK_OF[stage], QUEUE_OF[stage], (render_id, lease))


def send_cancel(render_id: str) -> bool:
    """Wake a worker for a render that was asked to be cancelled."""
    return _send("cancel", "io", (render_id,))


def send_poll() -> bool:
    """Wake a worker for whatever exports are due for a question."""
    return _send(TASK_OF[Stage.POLL], QUEUE_OF[Stage.POLL], ())


def send_watch() -> bool:
    """Wake a worker for the watched messages that are due for a read."""
    return _send("watch", "io", ())


def send_read(read_id: str, lease: int) -> bool:
    """Wake a worker for a reading of a catalog whose lease number is `lease`."""
    return _send("read_catalog", "media", (read_id, lease))


def send_deliver(delivery_id: str, lease: int) -> bool:
    """Wake a worker for a webhook's delivery whose lease number is `lease`."""
    return _send("deliver", "io", (delivery_id, lease))


def _send(task: str, queue: str, args: tuple[Any, ...]) -> bool:
    try:
        app.send_task(task, args=args, queue=queue, ignore_result=True)
    except Exception as error:  # kombu, redis and amqp each raise trees of their own; all mean: not sent
        log.warning("send.failed", task=task, error=type(error).__name__)
        BROKER_MESSAGES.labels(queue, "failed").inc()
        return False
    BROKER_MESSAGES.labels(queue, "sent").inc()
    return True


@signals.setup_logging.connect
def _logging(**_: Any) -> None:
    """Our log format instead of Celery's, and our line a stage instead of its two a task."""
    setup("worker")
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.celeryd_init.connect
def _check_driver(**_: Any) -> None:
    """psycopg picks its way of waiting when it is imported: before gevent's patching it would block every greenlet."""
    import sys

    if "gevent" in sys.modules:
        from gevent import monkey
        from psycopg import waiting

        if monkey.is_module_patched("select") and waiting.wait is getattr(waiting, "wait_c", None):
            raise SystemExit("psycopg was imported before gevent's patching: it would block the worker")


@signals.worker_ready.connect
def _ready(sender: Any = None, **_: Any) -> None:
    """A gevent worker is one process: it registers itself. Prefork children register themselves."""
    serving.serve(f"worker-{liveness.kind_of_worker()}")
    if not _is_prefork(sender):
        liveness.process()


@signals.worker_process_init.connect
def _child_ready(**_: Any) -> None:
    serving.child_began()
    liveness.process()


_controller: Any = None
"""Celery's own of this worker: it knows the pool."""


@signals.worker_init.connect
def _begun(sender: Any = None, **_: Any) -> None:
    global _controller
    _controller = sender


@signals.worker_shutting_down.connect
def _leave(**_: Any) -> None:
    leaving.leave(_children)


def _children() -> list[int]:
    """The processes of a prefork pool."""
    pool = getattr(getattr(_controller, "pool", None), "_pool", None)
    return [child.pid for child in getattr(pool, "_pool", None) or [] if getattr(child, "pid", None)]


@signals.worker_shutdown.connect
def _goodbye(**_: Any) -> None:
    liveness.goodbye()


@signals.worker_process_shutdown.connect
def _child_goodbye(**_: Any) -> None:
    liveness.goodbye()


def _is_prefork(sender: Any) -> bool:
    pool = getattr(getattr(sender, "pool", None), "__class__", type(None))
    return "prefork" in pool.__module__
