"""From rows to answers."""

from api.publishing.bodies import PublicationBody, PublisherBody, PublishErrorBody
from worker.publishing.errors import HELP
from worker.publishing.models import Publication, PublicationState, Publisher


def publisher_body(row: Publisher, secret: str | None = None) -> PublisherBody:
    """The answer for a publisher."""
    at = f"/v1/publishers/{row.id}"
    return PublisherBody(
        id=row.id,
        kind=row.kind,
        name=row.name,
        settings=row.settings,
        enabled=row.disabled_at is None,
        failing_since=row.failing_since,
        error=error_body(row.error_code),
        quiet_until=row.quiet_until,
        succeeded_at=row.succeeded_at,
        secret=secret,
        created_at=row.created_at,
        updated_at=row.updated_at,
        links={"self": at, "check": f"{at}/check", "publications": f"/v1/publications?publisher_id={row.id}"},
    )


def publication_body(row: Publication) -> PublicationBody:
    """The answer for a publication."""
    at, media = f"/v1/publications/{row.id}", row.remote.get("media_id")
    return PublicationBody(
        id=row.id,
        publisher_id=row.publisher_id,
        render_id=row.render_id,
        run=row.run,
        ref=row.ref,
        product=row.product,
        state=row.state,
        step=row.step,
        media_id=None if media is None else str(media),
        tries=row.tries,
        error=error_body(row.error_code, row.error_detail),
        remark=row.remote.get("remark"),
        next_try_at=row.ready_at if row.state == PublicationState.PENDING else None,
        created_at=row.created_at,
        finished_at=row.finished_at,
        links={"self": at, "render": f"/v1/renders/{row.render_id}", "publisher": f"/v1/publishers/{row.publisher_id}"},
    )


def error_body(code: str | None, detail: str | None = None) -> PublishErrorBody | None:
    """With the remedy."""
    return None if code is None else PublishErrorBody(code=code, message=detail or "", help=HELP.get(code, ""))
