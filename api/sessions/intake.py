"""What is said in a session becomes a render, a file that waits, or an answer: with its key, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api import balances, idempotency, intake, limits
from api.auth import Caller
from api.bodies import CreditsBody
from api.database import look, transact
from api.idempotency import Earlier, Key
from api.problems import FieldError, Problem
from api.schemas import Asset, VideoRequest
from api.sessions import words
from api.sessions.bodies import Action
from api.sessions.schemas import EditRequest, MessageRequest, SessionRequest, Turn
from api.templating import Words
from worker.database import new_id
from worker.owners import limits as owners_limits
from worker.owners.scopes import Scope
from worker.remote import language
from worker.remote.routing import Route, route
from worker.renders import store as renders
from worker.renders import uploads
from worker.renders.models import Render
from worker.renders.store import NewRender
from worker.sessions import order, store
from worker.sessions.models import EditingSession

ROUTE = "POST /v1/sessions"
EXPORT = "export"
"""The prompt of a render that is nothing but an export."""


@dataclass(frozen=True)
class Said:
    """What a message led to; whether an earlier one with its key had."""

    action: Action
    render_id: str | None = None
    answer: str | None = None
    credits: CreditsBody | None = None
    replayed: bool = False


def start(caller: Caller, request: SessionRequest, key: Key) -> tuple[str, bool]:
    """A session with its first instructions; its id, and whether an earlier request with this key had made it.

    Raises Problem `idempotency.…`, `upload.unknown`, `request.invalid`, LimitReached.
    """
    hashed = idempotency.body_hash(request.model_dump(mode="json"))
    spoken = [request.language or language.detect(one.text) for one in request.messages]
    session_id = new_id("ssn")

    def work(session: Session) -> tuple[str, bool]:
        def make() -> None:
            place = store.make(session, caller.owner_id, id=session_id, name=request.name, language=request.language)
            _keep_files(session, caller, place, request.assets, "/assets")
            for number, (one, tongue) in enumerate(zip(request.messages, spoken, strict=True)):
                _append(session, caller, place, one, one.text, tongue, new_id("rnd"), f"/messages/{number}")

        made = idempotency.once(session, caller.owner_id, ROUTE, key, hashed, session_id, make)
        return (made.resource_id, key.given) if isinstance(made, Earlier) else (session_id, False)

    return transact(work)


def say(caller: Caller, session_id: str, request: MessageRequest, key: Key) -> Said:
    """Do what a message asks for.

    Raises Problem `session.…`, `idempotency.…`, `upload.unknown`, `auth.scope`, LimitReached.
    """
    wanted = route(request.text) if request.text else "upload"
    if wanted == "credits" and Scope.ACCOUNT_READ not in caller.scopes:
        raise Problem("auth.scope", f"This key lacks the scope {Scope.ACCOUNT_READ.value}.")
    hashed = idempotency.body_hash(request.model_dump(mode="json"))
    spoken = language.detect(request.text) if request.text else None
    resource_id = new_id("rnd")
    at = f"{ROUTE}/{session_id}/messages"

    def work(session: Session) -> Said:
        place = _held(session, caller, session_id)
        if (known := idempotency.earlier(session, caller.owner_id, at, key, hashed)) is not None:
            return _again(session, caller, place, request, wanted, known, replayed=key.given)
        message = _Message(session, caller, place, request, spoken, resource_id)

        def once(make: Callable[[], Said]) -> Said:
            made = idempotency.once(session, caller.owner_id, at, key, hashed, resource_id, make)
            assert not isinstance(made, Earlier), "the session's lock lets one look at a time"
            return made

        if wanted == "generate":
            return once(message.instruct)
        if request.assets:
            once(message.keep_files)
        return message.export(once) if wanted == "export" and not request.assets else message.answer(wanted)

    return transact(work)


def edit(caller: Caller, render_id: str, request: EditRequest, key: Key) -> tuple[str, bool]:
    """A render that goes on with another one's timeline, in its session; its id, and whether an earlier request with
    this key had made it.

    Raises Problem `render.…`, `session.…`, `idempotency.…`, `upload.unknown`, LimitReached.
    """
    hashed = idempotency.body_hash(request.model_dump(mode="json"))
    spoken = language.detect(request.prompt)
    made_id = new_id("rnd")

    def work(session: Session) -> tuple[str, bool]:
        render = intake.held(session, caller.owner_id, render_id)

        def make() -> None:
            _demand_a_place(session, render)
            place = store.around(session, render)
            _append(session, caller, place, request, request.prompt, spoken, made_id)

        at = f"POST /v1/renders/{render_id}/edits"
        made = idempotency.once(session, caller.owner_id, at, key, hashed, made_id, make)
        if not isinstance(made, Earlier):
            return made_id, False
        if renders.get(session, caller.owner_id, made.resource_id) is None:
            raise Problem("render.deleted", f"{made.resource_id} was made with this key and deleted.")
        return made.resource_id, key.given

    return transact(work)


def close(caller: Caller, session_id: str) -> None:
    """Nothing more is said in it. Harmless to repeat. Raises Problem `session.unknown`."""
    transact(lambda session: store.close(session, _held(session, caller, session_id)))


def found(session: Session, owner_id: str, session_id: str) -> EditingSession:
    """The owner's session. Raises Problem `session.unknown`."""
    place = store.get(session, owner_id, session_id)
    if place is None:
        raise unknown(session_id)
    return place


def read(caller: Caller, session_id: str, work: Callable[[Session, EditingSession], Any]) -> Any:
    """What `work` reads of the caller's session. Raises Problem `session.unknown`."""
    return look(lambda session: work(session, found(session, caller.owner_id, session_id)))


def unknown(session_id: str) -> Problem:
    """The problem of a session that is not there, or somebody else's."""
    return Problem("session.unknown", f"You have no session {session_id[:64]}.")


def _held(session: Session, caller: Caller, session_id: str) -> EditingSession:
    place = store.locked(session, caller.owner_id, session_id)
    if place is None:
        raise unknown(session_id)
    return place


def _demand_a_place(session: Session, render: Render) -> None:
    if store.can_be_continued(session, render):
        return
    raise Problem("render.no_session", f"{render.id} is {render.status} at {render.stage}.")


@dataclass(frozen=True)
class _Message:
    """One message about to be acted on, its session locked."""

    session: Session
    caller: Caller
    place: EditingSession
    request: MessageRequest
    spoken: str | None
    resource_id: str

    @property
    def _chinese(self) -> bool:
        return words.speaks_chinese(self.request.text, self.place.language)

    def instruct(self) -> Said:
        """The next turn."""
        assert self.request.text is not None, "words alone are an instruction"
        tongue = self.place.language or self.spoken or "en"
        render = _append(
            self.session, self.caller, self.place, self.request, self.request.text, tongue, self.resource_id
        )
        return Said(_action_of(self.session, render), render.id)

    def keep_files(self) -> Said:
        """Files that wait for the next turn."""
        store.demand_open(self.place)
        _keep_files(self.session, self.caller, self.place, self.request.assets, "/assets")
        return Said("upload")

    def export(self, once: Callable[[Callable[[], Said]], Said]) -> Said:
        """One more export of the last draft; or, while a render is under way, which one that is."""
        running = store.under_way(self.session, self.place.id)
        if running is not None:
            answer = words.comes_by_itself(running, chinese=self._chinese)
            return Said("export", running.id, answer)
        store.demand_open(self.place)
        source = store.latest_draft(self.session, self.place.id)
        if source is None:
            raise Problem("session.no_draft", f"{self.place.id} has no timeline to export.")

        def make() -> Said:
            owners_limits.check(self.session, self.caller.key_id, self.caller.limits, credits=0)
            wanted = self.request.render(EXPORT, source[0].language)
            new = _new(self.caller, wanted, source[0].language, [])
            made = order.export(self.session, self.place, *source, new, render_id=self.resource_id)
            return Said("export", made.id, words.exported(made, chinese=self._chinese))

        return once(make)

    def answer(self, wanted: Route) -> Said:
        """To a request that makes nothing."""
        return _answered(
            self.session, self.caller, self.place, wanted, chinese=self._chinese, files=self.request.assets
        )


def _answered(
    session: Session,
    caller: Caller,
    place: EditingSession,
    wanted: Route,
    *,
    chinese: bool,
    files: list[Asset],
    replayed: bool = False,
) -> Said:
    if wanted == "credits":
        found = balances.of(session, caller.owner_id)
        return Said("credits", answer=words.credits(found, chinese=chinese), credits=found, replayed=replayed)
    if wanted == "state":
        draft = store.latest_draft(session, place.id)
        summary = draft[0].timeline if draft else None
        turn = store.turn(session, place.id)
        return Said("state", answer=words.state(summary, turn, chinese=chinese), replayed=replayed)
    told = words.kept(len(place.pending), chinese=chinese) if files else words.how_to_upload(chinese=chinese)
    return Said("upload", answer=told, replayed=replayed)


def _again(
    session: Session,
    caller: Caller,
    place: EditingSession,
    request: MessageRequest,
    wanted: Route,
    resource_id: str,
    *,
    replayed: bool,
) -> Said:
    """What an earlier message with this key led to, as it stands."""
    chinese = words.speaks_chinese(request.text, place.language)
    if wanted not in ("generate", "export") or (wanted == "export" and request.assets):
        return _answered(session, caller, place, wanted, chinese=chinese, files=request.assets, replayed=replayed)
    render = renders.get(session, caller.owner_id, resource_id)
    if render is None:
        raise Problem("render.deleted", f"{resource_id} was made with this key and deleted.")
    if wanted == "export":
        return Said("export", render.id, words.exported(render, chinese=chinese), replayed=replayed)
    return Said(_action_of(session, render), render.id, replayed=replayed)


def _action_of(session: Session, render: Render) -> Action:
    return "edit" if store.has_an_earlier(session, render) else "generate"


def _append(
    session: Session,
    caller: Caller,
    place: EditingSession,
    given: Turn,
    said: str,
    tongue: str,
    render_id: str,
    pointer: str = "",
) -> Render:
    """The next turn, with the files that waited for it."""
    spoken = place.language or tongue
    wanted = given.render(said, spoken)
    assets = [*place.pending, *_taken(session, caller, given.assets, f"{pointer}/assets")]
    if len(assets) > limits.ASSETS:
        errors = [FieldError(f"{pointer}/assets", f"{len(assets)} files with those that wait; {limits.ASSETS} at most")]
        raise Problem("request.invalid", f"Not valid: {pointer}/assets", errors=errors)
    store.demand_open(place)
    price = store.price_of_next(session, place.id)
    owners_limits.check(session, caller.key_id, caller.limits, credits=price)
    return order.append(session, place, _new(caller, wanted, spoken, assets), render_id=render_id)


def _new(caller: Caller, request: VideoRequest, spoken: str, assets: list[dict[str, Any]]) -> NewRender:
    return intake.new_render(caller, request, Words(request.prompt or "", spoken, request.tags), assets)


def _keep_files(session: Session, caller: Caller, place: EditingSession, assets: list[Asset], pointer: str) -> None:
    files = [*place.pending, *_taken(session, caller, assets, pointer)]
    if len(files) > limits.ASSETS:
        errors = [FieldError(pointer, f"{len(files)} files would wait; {limits.ASSETS} at most")]
        raise Problem("request.invalid", f"Not valid: {pointer}", errors=errors)
    store.change(session, place, pending=files)


def _taken(session: Session, caller: Caller, assets: list[Asset], pointer: str) -> list[dict[str, Any]]:
    """Assets as a render keeps them. Raises Problem `upload.unknown`."""
    ids = list(dict.fromkeys(asset.upload for asset in assets if asset.upload))
    return intake.kept_assets(assets, uploads.take(session, caller.owner_id, ids), pointer)
