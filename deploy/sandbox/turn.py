"""One turn: a message that was accepted, its price, and what becomes of both."""

import asyncio
import time
from dataclasses import dataclass

from .accounts import Accounts, User
from .database import Database
from .errors import turn_running
from .prompt import speaks_chinese
from .rules import Taken
from .sessions import Session, Sessions
from .settings import Settings


@dataclass
class Turn:
    """An accepted message. `applied` says whether its work was done, `free` that it costs nothing."""

    number: int
    session: Session
    text: str
    price: int
    told: Taken
    applied: bool = False
    free: bool = False

    @property
    def edit(self) -> bool:
        """Whether the session had a draft before."""
        return self.session.draft is not None

    @property
    def language(self) -> str:
        """The language of the answer: "zh" or "en"."""
        return "zh" if self.session.language.startswith("zh") or speaks_chinese(self.text) else "en"


class Turns:
    """Begins, applies and ends turns; every message is in the ledger with what became of it."""

    def __init__(self, database: Database, settings: Settings, accounts: Accounts, sessions: Sessions) -> None:
        self._database = database
        self._settings = settings
        self._accounts = accounts
        self._sessions = sessions
        self._later: set[asyncio.Task[None]] = set()

    def begin(self, user: User, session: Session, text: str, told: Taken) -> Turn:
        """Accept a message and freeze its price. Raises 409 while another turn runs in the session, and 2001."""
        if session.id in self._sessions.running:
            raise turn_running()
        price = self._settings.edit_price if session.draft is not None else self._settings.generation_price
        self._accounts.freeze(user, price)
        self._sessions.running.add(session.id)
        now = time.time()
        number = self._database.insert(
            "messages", session=session.id, user_id=user.id, text=text, at=now, outcome="in_flight", price=price
        )
        return Turn(number, session, text, price, told)

    def refused(self, code: int | None, user_id: str, session_id: str, text: str) -> None:
        """Keep a message that was refused: it did nothing and cost nothing."""
        now = time.time()
        self._database.insert(
            "messages",
            session=session_id,
            user_id=user_id,
            text=text,
            at=now,
            ended_at=now,
            outcome="refused",
            code=code,
        )

    def apply(self, turn: Turn, words: str) -> None:
        """Do the turn's work and charge for it; a second call does nothing."""
        if turn.applied:
            return
        finished = "two_step" not in turn.told and not (self._settings.two_stage_seconds and not turn.edit)
        self._sessions.draft_turn(turn.session.id, words, finished=finished, ready="not_ready" not in turn.told)
        turn.applied = True
        self._accounts.charge(turn.session.user_id, turn.price)
        self._database.run(
            "UPDATE messages SET outcome = 'applied', executed = 1, charged = ?, ended_at = ? WHERE number = ?",
            turn.price,
            time.time(),
            turn.number,
        )

    def end(self, turn: Turn) -> None:
        """The turn is over; what was not applied is refunded. The second stage, if any, begins to wait."""
        self._sessions.running.discard(turn.session.id)
        if not turn.applied:
            self._refund(turn.number, turn.session.user_id, turn.price, executed=turn.free)
            return
        told = turn.told.get("two_step")
        wait = told.number("seconds", 1.0) if told else self._settings.two_stage_seconds
        if told or (wait and not turn.edit):
            self._sessions.finish_later(turn.session.id, time.time() + wait)
            self._finish_after(turn.session.id, wait)

    def recover(self) -> None:
        """After a restart: turns that were running are refunded, second stages that are due come."""
        for row in self._database.all("SELECT * FROM messages WHERE outcome = 'in_flight'"):
            self._refund(row["number"], row["user_id"], row["price"], executed=False)
        for session_id, due in self._sessions.unfinished():
            self._finish_after(session_id, max(0.0, due - time.time()))

    def _refund(self, number: int, user_id: str, price: int, *, executed: bool) -> None:
        self._accounts.refund(user_id, price)
        self._database.run(
            "UPDATE messages SET outcome = 'not_applied', executed = ?, refunded = ?, ended_at = ? WHERE number = ?",
            executed,
            price,
            time.time(),
            number,
        )

    def _finish_after(self, session_id: str, wait: float) -> None:
        async def finish() -> None:
            await asyncio.sleep(wait)
            self._sessions.finish(session_id)

        task = asyncio.get_running_loop().create_task(finish())
        self._later.add(task)
        task.add_done_callback(self._later.discard)
