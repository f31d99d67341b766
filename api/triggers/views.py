"""From rows to answers."""

import base64
from datetime import datetime
from typing import Any

from api.triggers.bodies import (
    TakenBody,
    TrialBody,
    TriggerBody,
    TriggerDeliveryBody,
    TriggerDeliveryDetailBody,
    TriggerSecretBody,
)
from worker.infinity import NEVER
from worker.triggers.acceptance import Taken
from worker.triggers.models import Trigger, TriggerDelivery, Verdict
from worker.triggers.planning import Plan

NOT_OF_TRIGGERS = ("first", "max_credits", "max_failure_rate")
"""Options that are about a batch."""


def trigger_body(row: Trigger) -> TriggerBody:
    """The answer for a trigger."""
    return TriggerBody(**_shown(row))


def secret_body(row: Trigger, secret: str) -> TriggerSecretBody:
    """The answer for a trigger that was given a secret."""
    return TriggerSecretBody(**_shown(row), secret=secret)


def _shown(row: Trigger) -> dict[str, Any]:
    at = f"/v1/triggers/{row.id}"
    links = {"self": at, "deliveries": f"{at}/deliveries", "test": f"{at}/test", "rotate": f"{at}/rotate-secret"}
    return {
        "id": row.id,
        "name": row.name,
        "style": row.style,
        "template": row.template,
        "options": {name: value for name, value in row.options.items() if name not in NOT_OF_TRIGGERS},
        "topics": row.topics,
        "mapping": row.mapping,
        "conditions": row.conditions,
        "publisher_id": row.publisher_id,
        "api_key_id": row.api_key_id,
        "paused": row.paused_at is not None,
        "paused_at": row.paused_at,
        "previous_secret_until": row.previous_secret_until,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "links": links,
    }


def taken_body(taken: Taken) -> TakenBody:
    """The answer for the shop."""
    row = taken.delivery
    return TakenBody(delivery_id=row.id, verdict=row.verdict, render_id=row.render_id, duplicate=taken.duplicate)


PONG = TakenBody(delivery_id=None, verdict=Verdict.IGNORED.value, render_id=None, duplicate=False)
"""The answer for a ping that nobody signed."""


def delivery_body(row: TriggerDelivery, trigger: Trigger) -> TriggerDeliveryBody:
    """The answer for a message of a trigger, in a list."""
    return TriggerDeliveryBody(**_told(row, trigger))


def detail_body(row: TriggerDelivery, trigger: Trigger) -> TriggerDeliveryDetailBody:
    """The answer for a message of a trigger."""
    try:
        body, encoding = row.body.decode(), "utf-8"
    except UnicodeDecodeError:
        body, encoding = base64.b64encode(row.body).decode(), "base64"
    return TriggerDeliveryDetailBody(**_told(row, trigger), headers=row.headers, body=body, body_encoding=encoding)


def _told(row: TriggerDelivery, trigger: Trigger) -> dict[str, Any]:
    at = f"/v1/trigger-deliveries/{row.id}"
    links = {"self": at, "replay": f"{at}/replay", "trigger": f"/v1/triggers/{row.trigger_id}"}
    return {
        "id": row.id,
        "trigger_id": row.trigger_id,
        "topic": row.topic,
        "verdict": row.verdict,
        "code": row.code,
        "detail": row.detail,
        "render_id": row.render_id,
        "external_ref": row.ref,
        "revision": row.revision,
        "product": row.product,
        "replay_of": row.replay_of,
        "duplicates": row.duplicates,
        "received_at": row.received_at,
        "sent_at": row.sent_at,
        "tries": row.tries,
        "retry_at": _retry_at(row, trigger),
        "links": links | ({"render": f"/v1/renders/{row.render_id}"} if row.render_id else {}),
    }


def _retry_at(row: TriggerDelivery, trigger: Trigger) -> datetime | None:
    """What is kept without end goes on when its trigger does."""
    if row.retry_at != NEVER:
        return row.retry_at
    return trigger.goes_on_at if trigger.paused_at is None else None


def trial_body(plan: Plan, topic: str | None) -> TrialBody:
    """The answer for a message that was tried out."""
    new = plan.request
    return TrialBody(
        verdict=plan.verdict.value,
        code=plan.code,
        detail=plan.detail,
        topic=topic,
        external_ref=plan.ref,
        revision=plan.revision,
        product=dict(plan.product),
        template=plan.template,
        prompt=new.prompt if new else None,
        language=new.language if new else None,
        variables=new.variables if new else {},
        pictures=[asset["url"] for asset in new.assets] if new else [],
        render_id=plan.equal.id if plan.equal else None,
    )
