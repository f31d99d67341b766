"""What a turn's stream says and does, step by step, with every misbehaviour at its place."""

import asyncio
import time
from collections.abc import AsyncIterator

from . import talk
from .dialects import Dialect, Framework, Typed
from .prompt import edited_plan, first_plan
from .settings import Settings
from .turn import Turn, Turns

SPECIAL_LETTERS = "\u2028line\u2029paragraph\u0085next"


class Cut(Exception):
    """The stream breaks off here; the turn is applied `apply_in` seconds later, or never (None)."""

    def __init__(self, apply_in: float | None = None) -> None:
        super().__init__()
        self.apply_in = apply_in


class Script:
    """The events of one turn: JSON texts, "" for an empty data: line, None for a comment."""

    def __init__(self, settings: Settings, turns: Turns, turn: Turn, words: str) -> None:
        self._settings = settings
        self._turns = turns
        self._turn = turn
        self._words = words  # the message without directives
        self._told = turn.told
        typed = "typed" in self._told or (settings.dialect == "typed" and "adk" not in self._told)
        self._say: Dialect = Typed() if typed else Framework()
        self._partials = "no_partials" not in self._told

    async def events(self) -> AsyncIterator[str | None]:
        """Raises `Cut` where the stream is to break off."""
        turn, say = self._turn, self._say
        async for beat in self._prelude():
            yield beat
        thoughts = say.thought(talk.thought(turn.edit), partials=self._partials)
        for event in [*thoughts, *self._text(talk.opening(turn.language, turn.edit))]:
            yield event
        if "question" in self._told:
            turn.free = True
            for event in self._text(talk.QUESTION[turn.language], last=True):
                yield event
            return
        for event in say.call("edit_draft" if turn.edit else "generate_video", {"prompt": self._words}):
            yield event
        async for beat in self._work():
            yield beat
        for event in self._ending():
            yield event

    async def _prelude(self) -> AsyncIterator[str | None]:
        slow = self._told.get("slow")
        if slow:
            async for beat in self._beats(slow.number("seconds", 3.0), slow.number("every", 1.0)):
                yield beat

    async def _work(self) -> AsyncIterator[str | None]:
        """The time the work takes, and its doing."""
        if "cut_before" in self._told:
            raise Cut
        if later := self._told.get("cut_then_apply"):
            raise Cut(later.number("seconds", 1.0))
        held = self._told.get("stream")
        seconds = held.number("seconds", 2.0) if held else self._settings.stream_seconds
        async for beat in self._beats(seconds, self._settings.heartbeat_seconds):
            yield beat
        clean = self._told.get("truncate_clean")
        undone = {"error_frame", "error_v1"} & self._told.keys() or (clean and not clean.flag("apply", True))
        if not undone:
            self._turns.apply(self._turn, self._words)
        if "cut_after" in self._told:
            raise Cut

    def _ending(self) -> list[str]:
        turn, told = self._turn, self._told
        failure = "the agent failed while editing"
        if "error_v1" in told:
            return self._say.error(failure)[1:]
        if {"error_frame", "error_frame_applied"} & told.keys():
            framed = told.get("error_frame") or told["error_frame_applied"]
            return self._say.error(failure, int(framed.number("code", 0)))
        if "truncate_clean" in told:
            return []
        result = self._say.result("edit_draft" if turn.edit else "generate_video", {"status": "success"})
        if "silent_edit" in told:
            return [*result, *self._say.silence()]
        return [*result, *self._text(self._closing(), last=True), *self._noise()]

    def _closing(self) -> str:
        turn = self._turn
        plan = edited_plan(turn.session.plan, self._words) if turn.session.plan else first_plan(self._words)
        words = talk.gui_talk(turn.language, plan) if "gui_talk" in self._told else talk.closing(turn.language, plan)
        if "unicode" in self._told:
            words += SPECIAL_LETTERS
        return words + "\0" if "nul" in self._told else words

    def _noise(self) -> list[str]:
        return self._text(talk.NOISE, last=True) if "noise" in self._told else []

    def _text(self, words: str, *, last: bool = False) -> list[str]:
        return self._say.text(words, partials=self._partials, last=last)

    async def _beats(self, seconds: float, every: float) -> AsyncIterator[str | None]:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, every))
            if time.monotonic() < end:
                yield self._say.heartbeat()
