"""Every awkward turn the backend is known for, in both dialects where the stream matters: how the render ends, what our
books say, and what the backend's own ledger saw. All renders are in flight together."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.journeys.conftest import Journey
from tests.stack import Stack
from worker.remote.intents import IntentState


@dataclass(frozen=True)
class Case:
    """A misbehaviour and what has to come of it."""

    do: str
    status: str = "succeeded"
    error: str | None = None
    charge: str = "incurred"
    messages: int = 1
    """Refused ones included."""
    executed: int = 1
    intents: tuple[str, ...] = ("applied",)
    exports: int = 1
    answer_has: str = ""
    answer_lacks: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    passes: tuple[str, ...] = ()


STREAM = {
    "plain": Case(""),
    "silent": Case("silent_edit", answer_has="Red Kettle"),
    "two_step": Case("two_step seconds=0.8"),
    "cut_after": Case("cut_after", passes=("lookup",)),
    "cut_before": Case(
        "cut_before", "failed", "generation.unconfirmed", "unknown", executed=0, intents=("unconfirmed",), exports=0
    ),
    "cut_then_apply": Case("cut_then_apply seconds=1.5", passes=("lookup",)),
    "truncated": Case("truncate_clean"),
    "truncated_before": Case(
        "truncate_clean apply=false",
        "failed",
        "generation.unconfirmed",
        "unknown",
        executed=0,
        intents=("unconfirmed",),
        exports=0,
        passes=("lookup",),
    ),
    "error_frame": Case(
        "error_frame", "failed", "generation.failed", "none", executed=0, intents=("not_applied",), exports=0
    ),
    "error_frame_applied": Case("error_frame_applied"),
    "noise": Case("noise", answer_lacks=("temporary issue",)),
    "gui": Case("gui_talk", answer_lacks=("click", "点击", "打开", "drag")),
    # The balance is no evidence while the neighbours spend from the same account (a recovery journey asks alone).
    "question": Case("question", "failed", "generation.no_draft", "unknown", intents=("unconfirmed",), exports=0),
    "not_ready": Case("not_ready", "failed", "generation.no_draft", "incurred", exports=0),
    "slow": Case("slow seconds=2 every=0.3", passes=("still_working",)),
    "unicode": Case("unicode"),
    "nul": Case("nul"),
}
BOTH = {
    f"{name}_{dialect}": Case(**{**case.__dict__, "do": f"{case.do};{dialect}" if case.do else dialect})
    for name, case in STREAM.items()
    for dialect in ("adk", "typed")
}
OTHERS = {
    "error_v1": Case(
        "error_v1", "failed", "generation.failed", "none", executed=0, intents=("not_applied",), exports=0
    ),
    "5xx_done": Case("http_status status=503 apply=true", passes=("lookup",)),
    "5xx_not_done": Case(
        "http_status status=500",
        "failed",
        "generation.unconfirmed",
        "unknown",
        executed=0,
        intents=("unconfirmed",),
        exports=0,
    ),
    "page": Case(
        "http_status status=502 body=html",
        "failed",
        "generation.unconfirmed",
        "unknown",
        executed=0,
        intents=("unconfirmed",),
        exports=0,
    ),
    "drop_done": Case("drop apply=true", passes=("lookup",)),
    "hang": Case(
        "hang", "failed", "generation.unconfirmed", "unknown", executed=0, intents=("unconfirmed",), exports=0
    ),
    "retry_when_unconfirmed": Case(
        "once cut_before", messages=2, intents=("unconfirmed", "applied"), fields={"on_unconfirmed": "retry"}
    ),
    "retry_on_evidence": Case(
        "once error_frame", messages=2, intents=("not_applied", "applied"), fields={"on_unconfirmed": "retry"}
    ),
    "token_expired": Case("once expire", messages=2, intents=("refused", "applied")),
    "token_expired_at_export": Case("once expire on=export", exports=2),
    "token_expired_at_poll": Case("once expire on=poll"),
    "session_lost_before": Case("once lost", messages=2, intents=("refused", "applied")),
    "session_lost_at_state": Case(
        "lost on=state", "failed", "session.lost", "unknown", intents=("unconfirmed",), exports=0
    ),
    "sessions_always_lost": Case(
        "lost", "failed", "session.lost", "none", messages=10, executed=0, intents=("refused",) * 10, exports=0
    ),
    "export_forgotten": Case("http_status on=poll status=404 times=9", "failed", "export.failed", exports=2),
    "rate_limited": Case("once rate_limited", messages=2, intents=("refused", "applied"), passes=("waiting",)),
    "rate_limited_header": Case("once rate_limited retry_after=1", messages=2, intents=("refused", "applied")),
    "rate_limited_state": Case("rate_limited on=state"),
    "no_credits": Case("once no_credits", messages=2, intents=("refused", "applied"), passes=("waiting",)),
    "no_subscription": Case("no_subscription on=export", exports=2, passes=("waiting",)),
    "state_5xx": Case("http_status on=state status=503"),
    "export_fails_once": Case("export_fails", exports=2),
    "export_fails_twice": Case("export_fails times=2", "failed", "export.failed", exports=2),
    "export_stuck": Case("export_stuck", exports=2),
    "export_id_refused": Case("export_refuse_id", exports=2),
    "export_answer_lost": Case("export_answer_lost"),
    "export_lost_and_failed": Case("export_answer_lost;export_fails", exports=2),
    "export_5xx": Case("http_status on=export status=503", exports=2),
    "poll_5xx": Case("poll_5xx"),
    "poll_page": Case("poll_html"),
    "download_cut": Case("download_truncated"),
    "download_short": Case("download_short"),
    "download_page": Case("download_not_video"),
    "download_404": Case("download_404"),
    "both_broken_once": Case("download_short;fallback_truncated"),
    "both_broken": Case(
        "download_short times=20;fallback_not_video times=20", "failed", "result.unplayable", exports=2
    ),
}
CASES = BOTH | OTHERS


@pytest.fixture(scope="module")
def journeys(stack: Stack) -> dict[str, Journey]:
    """All of them, begun at once; those that make the account's one token invalid for all, each alone after them."""
    begun = {name: _begin(stack, name, case) for name, case in CASES.items() if "expire" not in case.do}
    for journey in begun.values():
        journey.end()
    for name, case in CASES.items():
        if "expire" in case.do:
            begun[name] = _begin(stack, name, case)
            begun[name].end()
    return begun


def _begin(stack: Stack, name: str, case: Case) -> Journey:
    """A directive in the prompt makes each message of it misbehave, `once` only the first one."""
    marker = f"case {name}."
    directives = ""
    for wish in filter(None, case.do.split(";")):
        if wish.startswith("once "):
            do, *pairs = wish.removeprefix("once ").split()
            stack.rule(**{"on": "message", "do": do, "match": marker} | dict(pair.split("=") for pair in pairs))
        else:
            directives += f" [[sandbox: {wish}]]"
    prompt = f'Create a 3 second promotional video called "Red Kettle" for {marker}{directives}'
    return Journey(stack, prompt, **case.fields)


@pytest.mark.parametrize("name", CASES)
def test_it_ends_as_the_contract_says(journeys: dict[str, Journey], name: str):
    """The render ends as it must, our books agree with the backend's, and no message went twice without a reason."""
    case, journey = CASES[name], journeys[name]
    row = journey.end()
    assert (row.status, row.error_code) == (case.status, case.error), (row.error_message, journey.types())
    assert row.charge_state == case.charge
    assert len(journey.messages()) == case.messages
    assert journey.executed() == case.executed
    assert tuple(intent.state for intent in journey.intents()) == case.intents
    exports = journey.exports()
    assert len(exports) == case.exports, [(one.id, one.state, one.created_at, one.ended_at) for one in exports]
    assert case.answer_has in (row.answer or "")
    for words in case.answer_lacks:
        assert words not in (row.answer or "")
    stages = [event.data.get("stage") for event in journey.events() if event.type == "render.stage"]
    for name_ in case.passes:
        assert name_ in [*stages, *journey.types()]
    if case.charge == "incurred":
        assert journey.charged() > 0
    if case.charge == "none":
        assert journey.charged() == 0


@pytest.mark.parametrize("name", CASES)
def test_its_events_are_an_allowed_path(journeys: dict[str, Journey], name: str):
    """Numbers without a gap, one end and nothing behind it, and only moves that the table has."""
    from worker.renders.states import MOVES, Stage

    journey = journeys[name]
    journey.end()
    events = journey.events()
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    finals = [event for event in events if event.type.split(".")[1] in {"succeeded", "failed", "canceled", "expired"}]
    assert finals == events[-1:]
    for event in events:
        if event.type == "render.stage":
            assert Stage(event.data["stage"]) in MOVES[Stage(event.data["from"])]


def test_the_backend_saw_no_breach_of_its_contract(stack: Stack, journeys: dict[str, Journey]):
    """No poll too soon, no second turn at a time in a session, no export without attribution, no leaked header."""
    for journey in journeys.values():
        journey.end()
    assert stack.ledger()["violations"] == []


def test_settled_messages_are_the_only_ones_left(journeys: dict[str, Journey]):
    """Every message of a render that ended is settled."""
    for journey in journeys.values():
        journey.end()
        assert all(IntentState(intent.state) and intent.settled_at for intent in journey.intents())
