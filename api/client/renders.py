"""Renders: asking for videos, and what one can do with them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from .answers import LONGEST_PAGE, Page, every
from .connection import FIRST_PAUSE_SECONDS, Connection
from .errors import StillRunning
from .render_answers import DryRun, Render
from .uploads import Asset, asked
from .wire import at

Priority = Literal["high", "normal", "low"]


QualityGate = Literal["report", "fail", "off"]


class Expect(TypedDict, total=False):
    """What a finished video is compared with."""

    duration_seconds: float | None
    aspect: str | None
    """Width to height (`9:16`), or `portrait` or `landscape`."""
    silent: bool
    """A video without sound is asked for."""


class RenderWebhookFields(TypedDict, total=False):
    """Where a render's own events go, beside the standing endpoints."""

    url: str
    events: Sequence[str]
    """Types, groups (`render.*`) or `*`; by default the final ones."""


class RenderFields(TypedDict, total=False):
    """What a render may be asked for with, beside its prompt; what is left out the service fills in."""

    template: str
    """In the place of a prompt: `name`, `tpl_…`, and with `@3` that version."""
    variables: Mapping[str, Any]
    """The template's."""
    assets: Sequence[Asset]
    """Pictures, clips and sounds, up to 20."""
    language: str | None
    """Of the video (`en`, `zh`); detected from the prompt by default."""
    output: Mapping[str, Any]
    priority: Priority
    quality_gate: QualityGate
    """What a video with something wrong leads to: `report` in `result.quality` (the default), `fail`, or `off`."""
    expect: Expect | None
    """What it is compared with; None: the length and the shape that the prompt plainly asks for."""
    on_unconfirmed: Literal["fail", "retry"]
    """Where nobody can know whether the paid message was received: give up (the default), or pay again."""
    deadline_seconds: float | None
    """A run not over by then ends as `expired`; time on hold does not count."""
    external_ref: str | None
    """Your own reference; `renders(external_ref=…)` finds it."""
    revision: int | None
    """Of what `external_ref` names: one that is queued makes way, one at work is waited for, and a call with an older
    one raises Conflict `render.stale_revision`."""
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    """Anything JSON up to 16 KiB; kept and returned."""
    webhook: RenderWebhookFields | None
    """The answer's `webhook.endpoint_id` has the secret: `webhook_secret(…)`."""


class RenderFilters(TypedDict, total=False):
    """Which renders a list holds: those that all of these fit."""

    status: str | Sequence[str]
    tag: str | None
    external_ref: str | None
    batch: str | None
    priority: Priority | None
    created_after: datetime | None
    """From this moment on; without a zone it is local time."""
    created_before: datetime | None
    ids: Sequence[str]
    """These alone, up to 200."""


class TurnFields(TypedDict, total=False):
    """What a message or an edit may come with, beside its words."""

    assets: Sequence[Asset]
    """Beside the files that wait in the session already."""
    output: Mapping[str, Any]
    priority: Priority
    external_ref: str | None
    tags: Sequence[str]
    metadata: Mapping[str, Any]


LONG_POLL_SECONDS = 30
"""Half of what proxies commonly allow a silent answer."""


class Renders(Connection):
    """Calls about renders."""

    def create_render(
        self,
        prompt: str | None = None,
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
        **fields: Unpack[RenderFields],
    ) -> Render:
        """Ask for a video, by a prompt or a `template`.

        With `wait` the answer comes once the render is final, or after that many seconds (≤ 60).
        """
        body = asked(fields, prompt=prompt)
        return self._render("POST", at("renders"), body=body, idempotency_key=idempotency_key, wait=wait)

    def dry_run(self, prompt: str | None = None, **fields: Unpack[RenderFields]) -> DryRun:
        """The request as it would be accepted, what it would cost and take; nothing is kept or charged."""
        return self._rehearse(DryRun, at("renders"), body=asked(fields, prompt=prompt))

    def render(self, render_id: str, *, wait: int | None = None) -> Render:
        """How a render stands; with `wait` (≤ 60 s) once it is final, at the latest after that time."""
        return self._render("GET", at("renders", render_id), wait=wait)

    def renders(
        self, *, limit: int | None = None, cursor: str | None = None, **filters: Unpack[RenderFilters]
    ) -> Page[Render]:
        """One page (50, at most 200), newest first."""
        return self._list(Page[Render], at("renders"), limit=limit, cursor=cursor, **filters)

    def iter_renders(self, **filters: Unpack[RenderFilters]) -> Iterator[Render]:
        """All of them, newest first, page by page."""
        return every(lambda cursor: self.renders(limit=LONGEST_PAGE, cursor=cursor, **filters))

    def update(
        self,
        render_id: str,
        *,
        priority: Priority | None = None,
        metadata: Mapping[str, Any] | None = None,
        if_match: str | None = None,
    ) -> Render:
        """Change a queued render; `metadata` replaces the old one. Raises Conflict once it has begun, or where it is no
        longer what `if_match` (a `Render.etag`) names."""
        body = {name: value for name, value in (("priority", priority), ("metadata", metadata)) if value is not None}
        return self._render("PATCH", at("renders", render_id), body=body, headers=_if_match(if_match))

    def delete(self, render_id: str, *, if_match: str | None = None) -> None:
        """Delete a final render for good: its words, events and files. Raises Conflict before it is final."""
        self._send("DELETE", at("renders", render_id), headers=_if_match(if_match))

    def cancel(self, render_id: str) -> Render:
        """Ask for a render to be cancelled; its `cancel_effect` says what that achieved, once it is final."""
        return self._render("POST", at("renders", render_id, "cancel"))

    def retry(
        self, render_id: str, *, force: bool = False, idempotency_key: str | None = None, wait: int | None = None
    ) -> Render:
        """Start the next run of a render that failed, was canceled or expired. A paid draft that is kept is exported
        again, for free.

        Raises Conflict `render.force_needed` where it could be charged a second time; `force` pays again.
        """
        path = at("renders", render_id, "retry")
        return self._render("POST", path, body={"force": force}, idempotency_key=idempotency_key, wait=wait)

    def edit(
        self,
        render_id: str,
        prompt: str,
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
        **fields: Unpack[TurnFields],
    ) -> Render:
        """A render that goes on with another one's timeline, whose own video stands. Raises Conflict where that is not
        at its export yet (`render.no_session`) or its session was lost."""
        body = asked(fields, prompt=prompt)
        path = at("renders", render_id, "edits")
        return self._render("POST", path, body=body, idempotency_key=idempotency_key, wait=wait)

    def wait(self, render_id: str, timeout: float | None = None) -> Render:
        """The render once it is final: the service holds the answer back until then.

        Raises StillRunning after `timeout` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_PAUSE_SECONDS
        while True:
            asked = time.monotonic()
            left = LONG_POLL_SECONDS if end is None else min(max(end - asked, 0.0), LONG_POLL_SECONDS)
            response = self._send("GET", at("renders", render_id), wait=int(left))
            render = self._read(response, Render.tagged)
            now = time.monotonic()
            if render.final:
                return render
            if timeout is not None and end is not None and now >= end:
                raise StillRunning(render_id, timeout)
            if "Preference-Applied" not in response.headers or now - asked < pause:
                # Whatever is on the way does not know how to wait: ask again and again.
                time.sleep(min(pause, left))
                pause = min(pause * 1.5, 2.0)

    def _render(self, method: str, path: str, **options: Any) -> Render:
        return self._read(self._send(method, path, **options), Render.tagged)


def _if_match(tag: str | None) -> dict[str, str]:
    return {} if tag is None else {"If-Match": tag}
