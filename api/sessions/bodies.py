"""What the answers of sessions hold."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.bodies import CreditsBody, RenderBody, TimelineBody

Action = Literal["generate", "edit", "export", "credits", "state", "upload"]


class SessionRemoteBody(BaseModel):
    """Where its work is at the backend; `link` opens it in the backend's own editor while it is valid."""

    task_id: str | None
    session_id: str | None
    link: str | None


class SessionBody(BaseModel):
    """A session as it stands."""

    id: str = Field(examples=["ssn_01jz0000000000000000000000"])
    name: str | None
    language: str | None = Field(description="Of its videos; null until the first message tells.")
    status: Literal["open", "lost", "closed"] = Field(
        description="`lost`: the backend forgot it; what was made stands, nothing more can be said in it."
    )
    renders: int = Field(description="How many there are of it.")
    pending: list[dict[str, Any]] = Field(description="Files that wait for the next instruction.")
    remote: SessionRemoteBody
    created_at: datetime
    links: dict[str, str]


class SessionDetailBody(SessionBody):
    """A session with its renders, in order: a retried one stands at the end. The last 200."""

    turns: list[RenderBody]


class SessionPage(BaseModel):
    """Newest first; `next_cursor` leads to the older ones."""

    data: list[SessionBody]
    next_cursor: str | None


class ChangeBody(BaseModel):
    """One thing that an edit changed; `timing` is where in the video, `text` the whole of it for a person."""

    what: Literal["added", "removed", "changed", "moved"]
    name: str
    timing: str
    text: str


class TurnBody(BaseModel):
    """Whose turn it is: the render that the next ones wait for."""

    render: str
    status: str
    reason: str | None
    stage: str


class StateBody(BaseModel):
    """What a session shows: the timeline of its last kept draft, and what is under way."""

    session: str
    timeline: TimelineBody | None = Field(description="Null before the first draft.")
    drafted_by: str | None = Field(description="The render whose draft that is.")
    changes: list[ChangeBody] = Field(description="What that render's message changed about the timeline before it.")
    turn: TurnBody | None = Field(description="Null where nothing is under way.")
    pending: list[dict[str, Any]]
    remote: SessionRemoteBody


class MessageBody(BaseModel):
    """What a message led to."""

    action: Action
    session: str
    render: RenderBody | None = Field(
        description="The render that it made; of `export`, while one is under way, the one whose video comes by itself."
    )
    timeline: TimelineBody | None = Field(description="Of the last kept draft.")
    changes: list[ChangeBody] = Field(description="What an edit changed, once its draft is there.")
    answer: str | None = Field(description="For a person; of a render once the backend has answered.")
    credits: CreditsBody | None = Field(description="For `credits` alone.")
    pending: list[dict[str, Any]]
