"""Both dialects of the event stream, read into progress and facts."""

import json
from typing import Any

import pytest

from worker.remote.dialects import Reader


def read(*events: object) -> Reader:
    reader = Reader()
    for event in events:
        reader.read(event if isinstance(event, str) else json.dumps(event))
    return reader


def whole(*parts: dict[str, Any], role: str = "model", author: str = "nemo_agent", **more: object) -> dict[str, Any]:
    return {"content": {"role": role, "parts": list(parts)}, "author": author, "invocationId": "i", **more}


def text(words: str, **more: object) -> dict[str, Any]:
    return whole({"text": words}, **more)


def partial(words: str, **more: object) -> dict[str, Any]:
    return text(words, partial=True, **more)


CALL = whole({"functionCall": {"id": "1", "name": "edit", "args": {}}})
RESULT = whole({"functionResponse": {"id": "1", "name": "edit", "response": {}}}, role="user")
TYPED_CALL = {"type": "tool_call", "name": "edit", "args": {}}
TYPED_RESULT = {"type": "tool_result", "name": "edit", "result": {}}
NOISE = "I encountered a temporary issue. Please try again later."

# name: (events, text, calls, results, terminal, failed)
TURNS: dict[str, tuple[list[object], str, int, int, bool, bool]] = {
    "partials, then the whole": ([partial("Al"), partial("l done"), text("All done")], "All done", 0, 0, True, False),
    "partial false on the whole": ([partial("A"), text("A", partial=False)], "A", 0, 0, True, False),
    "finish on a partial": ([partial("A", finishReason="STOP"), text("A")], "A", 0, 0, True, False),
    "finish on a partial, no whole": ([partial("A"), partial("B", finishReason="STOP")], "AB", 0, 0, True, False),
    "partials without end": ([partial("A"), partial("B")], "AB", 0, 0, False, False),
    "an empty whole keeps partials": ([partial("A"), whole()], "A", 0, 0, False, False),
    "call, result, answer": ([CALL, RESULT, text("Done")], "Done", 1, 1, True, False),
    "an aggregate before the call": (
        [partial("I will"), text("I will"), CALL, RESULT, text("Done")],
        "Done",
        1,
        1,
        True,
        False,
    ),
    "an aggregate, then a silent edit": ([text("I will"), CALL, RESULT, whole()], "I will", 1, 1, False, False),
    "text beside a call is no answer": (
        [whole({"text": "Working"}, {"functionCall": {"name": "edit"}}), RESULT, text("Done")],
        "Done",
        1,
        1,
        True,
        False,
    ),
    "silent edit, 1.x": ([CALL, RESULT, whole()], "", 1, 1, False, False),
    "silent edit, 2.x": (
        [CALL, RESULT, whole(errorCode="MODEL_RETURNED_NO_CONTENT", errorMessage="none")],
        "",
        1,
        1,
        False,
        False,
    ),
    "silent edit without content": (
        [CALL, RESULT, {"author": "a", "errorCode": "MODEL_RETURNED_NO_CONTENT"}],
        "",
        1,
        1,
        False,
        False,
    ),
    "two calls in one event": (
        [whole({"functionCall": {"name": "a"}}, {"functionCall": {"name": "b"}}), RESULT, RESULT],
        "",
        2,
        2,
        False,
        False,
    ),
    "a partial call does not count": (
        [whole({"functionCall": {"name": "a"}}, partial=True), CALL, RESULT],
        "",
        1,
        1,
        False,
        False,
    ),
    "thoughts stay out": ([whole({"text": "hm", "thought": True}, {"text": "Done"})], "Done", 0, 0, True, False),
    "thoughts in partials too": (
        [whole({"text": "hm", "thought": True}, partial=True), text("Done")],
        "Done",
        0,
        0,
        True,
        False,
    ),
    "the user's own words stay out": (
        [text("make it", role="user", author="user"), text("Done")],
        "Done",
        0,
        0,
        True,
        False,
    ),
    "the last answer counts": ([text("First"), text("Second")], "Second", 0, 0, True, False),
    "noise alone after an answer": ([text("Done"), text(NOISE)], "Done", 0, 0, True, False),
    "noise at the end of an answer": ([text(f"Done. {NOISE}")], "Done.", 0, 0, True, False),
    "noise after a result is no end": ([CALL, RESULT, text(NOISE)], "", 1, 1, False, False),
    "Chinese noise": ([text("已完成。我遇到了一个临时问题，请稍后再试。")], "已完成。", 0, 0, True, False),
    "an error event and its frame": (
        [partial("Half"), {"author": "a", "errorCode": "INTERNAL", "errorMessage": "fell"}, {"error": "fell"}],
        "Half",
        0,
        0,
        False,
        True,
    ),
    "a bare error frame": ([{"error": "fell"}], "", 0, 0, False, True),
    "an error frame that is no JSON": (['{"error": "the "model" fell"}'], "", 0, 0, False, True),
    "an error frame cut by a line break": (['{"error": "the'], "", 0, 0, False, True),
    "an envelope on the stream": ([{"code": 2001, "message": "no credits"}], "", 0, 0, False, True),
    "typed pieces": (
        [{"type": "text", "content": "All "}, {"type": "text", "content": "done"}],
        "All done",
        0,
        0,
        True,
        False,
    ),
    "typed sentences": (
        [{"type": "text", "content": "Done."}, {"type": "text", "content": "Anything else?"}],
        "Done. Anything else?",
        0,
        0,
        True,
        False,
    ),
    "typed whole once more": (
        [
            {"type": "text", "content": "All is "},
            {"type": "text", "content": "done"},
            {"type": "text", "content": "All is done"},
        ],
        "All is done",
        0,
        0,
        True,
        False,
    ),
    "typed short repetition is content": (
        [{"type": "text", "content": "ha"}, {"type": "text", "content": "ha"}],
        "haha",
        0,
        0,
        True,
        False,
    ),
    "typed turn": (
        [{"type": "text", "content": "Working"}, TYPED_CALL, TYPED_RESULT, {"type": "text", "content": "Done"}],
        "Done",
        1,
        1,
        True,
        False,
    ),
    "typed silent edit": ([TYPED_CALL, {"type": "heartbeat"}, TYPED_RESULT], "", 1, 1, False, False),
    "typed silent edit after words": (
        [{"type": "text", "content": "Working"}, TYPED_CALL, TYPED_RESULT],
        "Working",
        1,
        1,
        False,
        False,
    ),
    "typed error": ([{"type": "error", "message": "fell"}], "", 0, 0, False, True),
    "typed noise": (
        [{"type": "text", "content": "Done."}, {"type": "text", "content": NOISE}],
        "Done.",
        0,
        0,
        True,
        False,
    ),
    "typed noise after a result": (
        [TYPED_CALL, TYPED_RESULT, {"type": "text", "content": NOISE}],
        "",
        1,
        1,
        False,
        False,
    ),
    "both dialects on one stream": ([TYPED_CALL, RESULT, text("Done")], "Done", 1, 1, True, False),
    "NUL and lone surrogates": (['{"type":"text","content":"a\\u0000b\\ud83d"}'], "ab", 0, 0, True, False),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_turn_adds_up(name: str):
    """Each turn's answer, counts, end and failure are what the dialects mean by them."""
    events, answer, calls, results, terminal, failed = TURNS[name]
    reader = read(*events)
    assert (reader.text, reader.calls, reader.results, reader.terminal) == (answer, calls, results, terminal)
    assert (reader.error_frame is not None) == failed


@pytest.mark.parametrize(
    "data",
    [
        "nonsense",
        "[]",
        "1",
        "null",
        '"text"',
        "{}",
        '{"type":"novel","x":1}',
        '{"type":3}',
        "[DONE]",
        "{" * 5000,
        '{"content":"text"}',
        "[" * 100_000,
        "1" * 5000,
    ],
)
def test_unknown_events_are_counted(data: str):
    """What is not understood is counted and nothing else happens."""
    reader = Reader()
    assert reader.read(data) == []
    assert (reader.unknown, reader.text, reader.terminal, reader.error_frame) == (1, "", False, None)


@pytest.mark.parametrize(
    "event",
    [
        {"content": {"parts": None}},
        {"content": {"parts": [None, 1, "x"]}},
        {"content": {}},
        {"content": {"parts": [{"text": 3}]}},
        {"content": {"parts": [{"functionCall": None}]}, "author": None},
        {"type": "text"},
        {"type": "text", "content": 3},
        {"author": "a", "actions": {"stateDelta": {"x": 1}}},
    ],
)
def test_odd_events_do_no_harm(event: dict[str, Any]):
    """Missing and mistyped parts say nothing and break nothing."""
    reader = read(event, text("Done"))
    assert (reader.text, reader.calls, reader.results, reader.error_frame) == ("Done", 0, 0, None)


def test_one_failure_is_told_once():
    """An error event and the frame that repeats it give one event."""
    reader = Reader()
    told = [
        e
        for e in ({"author": "a", "errorCode": "X", "errorMessage": "y"}, {"error": "y"})
        for e in reader.read(json.dumps(e))
    ]
    assert [(event.kind, event.text) for event in told] == [("error", "X: y")]


@pytest.mark.parametrize("data", ["", " ", '{"type":"heartbeat"}', '{"type":"ping"}'])
def test_signs_of_life(data: str):
    """Empty data and heartbeats are told as such."""
    assert [event.kind for event in Reader().read(data)] == ["heartbeat"]
