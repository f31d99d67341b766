"""Sessions: renders that go on with each other's timeline."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

from .accounts import Credits
from .answers import Model, Page, RenderAsset
from .connection import Connection
from .render_answers import Render
from .renders import TurnFields
from .uploads import Asset, asked, asset_body
from .wire import at


class SessionRemote(Model):
    """Where a session's work is at the backend."""

    task_id: str | None = None
    session_id: str | None = None
    link: str | None = None


class Session(Model):
    """Renders that go on with each other's timeline; `status` is `open`, `lost` or `closed`.

    `turns` are its renders in order, where the call gives them.
    """

    id: str
    name: str | None = None
    language: str | None = None
    status: str
    renders: int
    pending: list[RenderAsset] = []
    remote: SessionRemote
    created_at: datetime
    links: dict[str, str] = {}
    turns: list[Render] = []


class Change(Model):
    """One thing that an edit changed: `text` for a person, `timing` where in the video."""

    what: str
    name: str
    timing: str
    text: str


class Timeline(Model):
    """A draft's tracks; `summary` in one line."""

    duration: float
    tracks: list[dict[str, Any]] = []
    summary: str


class Turn(Model):
    """Whose turn it is in a session."""

    render: str
    status: str
    reason: str | None = None
    stage: str


class SessionState(Model):
    """What a session shows: the timeline of its last kept draft, what changed, what is under way."""

    session: str
    timeline: Timeline | None = None
    drafted_by: str | None = None
    changes: list[Change] = []
    turn: Turn | None = None
    pending: list[RenderAsset] = []
    remote: SessionRemote


class Message(Model):
    """What a message in a session led to: `action` is `generate`, `edit`, `export`, `credits`, `state` or `upload`."""

    action: str
    session: str
    render: Render | None = None
    timeline: Timeline | None = None
    changes: list[Change] = []
    answer: str | None = None
    credits: Credits | None = None
    pending: list[RenderAsset] = []


class Sessions(Connection):
    """Calls about sessions."""

    def begin_session(
        self,
        *messages: str | Mapping[str, Any],
        name: str | None = None,
        language: str | None = None,
        assets: Sequence[Asset] = (),
        idempotency_key: str | None = None,
    ) -> Session:
        """A session; each message is an instruction (`{"text": …, "assets": […]}`, or its text) and a render of its
        own, one by one. `assets` wait for the first."""
        said = [{"text": one} if isinstance(one, str) else asked(one) for one in messages]
        body = {"name": name, "language": language, "messages": said, "assets": [asset_body(one) for one in assets]}
        return self._ask(Session, "POST", at("sessions"), body=body, idempotency_key=idempotency_key)

    def session(self, session_id: str) -> Session:
        """A session with its renders, in order."""
        return self._ask(Session, "GET", at("sessions", session_id))

    def sessions(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Session]:
        """One page (50, at most 200), newest first."""
        return self._list(Page[Session], at("sessions"), limit=limit, cursor=cursor)

    def session_state(self, session_id: str) -> SessionState:
        """The timeline of its last kept draft, whose turn it is, which files wait."""
        return self._ask(SessionState, "GET", at("sessions", session_id, "state"))

    def send(
        self,
        session_id: str,
        text: str | None = None,
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
        **fields: Unpack[TurnFields],
    ) -> Message:
        """Say something: an instruction makes a render, a request ("export", "credits", "status", "upload"; 导出 …) is
        answered, files alone wait for the next instruction. With `wait` (≤ 60 s) once its render is final.

        Raises Conflict `session.lost` where the backend forgot the session.
        """
        body = asked(fields, text=text)
        path = at("sessions", session_id, "messages")
        return self._ask(Message, "POST", path, body=body, idempotency_key=idempotency_key, wait=wait)

    def close_session(self, session_id: str) -> None:
        """Nothing more is said in it; its renders go on and stay."""
        self._send("POST", at("sessions", session_id, "close"))
