"""Celery's settings. PostgreSQL holds the truth; messages are wake-up calls, so they may be lost and come twice."""

from typing import Any


def celery_settings(broker_url: str) -> dict[str, Any]:
    """Settings of the Celery app for a broker.

    Early acknowledgement on purpose: a late one neither prevents loss on Redis (the pop and its note are two steps) nor
    survives its death (workers exit). What is lost is sent again from the row.
    """
    redis_like = broker_url.startswith(("redis", "rediss", "valkey", "unix"))
    options: dict[str, Any] = (
        # Without a socket time-out a publish to a hung server waits for ever.
        {"socket_timeout": 10, "socket_connect_timeout": 5, "socket_keepalive": True, "health_check_interval": 10}
        if redis_like
        else {"confirm_publish": True}
    )
    return {
        "broker_url": broker_url,
        "broker_transport_options": options,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_publish_retry": False,  # a dead broker must not stall every greenlet: the dispatcher sends again
        "task_create_missing_queues": True,
        "task_default_queue": "io",
        "worker_prefetch_multiplier": 1,
        # A child that takes a dead one's place waits for its row in the database for up to 30 s (worker/liveness.py)
        # before it says that it is up; at Celery's own 4 s each would be killed and replaced for as long as the
        # database is away or slow. The price: one that hangs as it begins costs its place for as long.
        "worker_proc_alive_timeout": 45.0,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": True,
        "task_send_sent_event": False,
        "enable_utc": True,
        "timezone": "UTC",
        "accept_content": ["json"],
    }
