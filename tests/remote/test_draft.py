"""Timelines, summaries and differences of drafts, whatever shape they have."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.remote.draft import Change, difference, summary, timeline

DRAFT: dict[str, Any] = {
    "d": 10000,
    "t": [
        {"tt": 0, "sg": [{"d": 10000, "m": {"title": "city timelapse", "width": 1080}}]},
        {"tt": 1, "sg": [{"d": 10000, "m": {"title": "Lo-fi"}, "volume": 0.35}]},
        {"tt": 7, "sg": [{"d": 3000, "text": "Urban Dreams"}]},
    ],
}


def raw(draft: object) -> bytes:
    return json.dumps(draft).encode()


def changed(**of_title: object) -> bytes:
    draft = json.loads(json.dumps(DRAFT))
    draft["t"][2]["sg"][0].update(of_title)
    return raw(draft)


def test_the_summary_is_the_contracts():
    """The line for people is exactly the contract's example."""
    assert summary(raw(DRAFT)) == (
        "Timeline (3 tracks): 1. Video: city timelapse (0-10s) "
        '2. BGM: Lo-fi (0-10s, 35%) 3. Title: "Urban Dreams" (0-3s)'
    )


def test_the_timeline_is_data():
    """The same as structure: kinds, names, milliseconds, volume."""
    line = timeline(raw(DRAFT))
    assert line.duration == 10000
    assert [track.kind for track in line.tracks] == ["video", "audio", "text"]
    assert [(s.name, s.start, s.end, s.volume) for track in line.tracks for s in track.segments] == [
        ("city timelapse", 0, 10000, None),
        ("Lo-fi", 0, 10000, 0.35),
        ("Urban Dreams", 0, 3000, None),
    ]


@pytest.mark.parametrize(
    ("draft", "line"),
    [
        ({}, "Timeline (0 tracks): empty"),
        ({"t": []}, "Timeline (0 tracks): empty"),
        ({"t": [{"tt": 0, "sg": []}]}, "Timeline (0 tracks): empty"),
        ({"t": [{"tt": 0, "sg": [{}]}]}, "Timeline (1 track): 1. Video (0-0s)"),
        ({"t": [{"tt": "7", "sg": [{"d": "2500", "content": "Hi"}]}]}, 'Timeline (1 track): 1. Title: "Hi" (0-2.5s)'),
        (
            {"t": [{"tt": 9, "name": "Sticker", "sg": [{"start": 1000, "end": 2000}]}]},
            "Timeline (1 track): 1. Track: Sticker (1-2s)",
        ),
        (
            {"t": [{"tt": 0, "sg": [{"d": 4000, "name": "a"}, {"d": 6000, "name": "b"}, {"d": 1000, "name": "a"}]}]},
            "Timeline (1 track): 1. Video: a +1 (0-11s)",
        ),
        (
            {"t": [{"tt": 1, "sg": [{"d": 1000, "name": "x", "volume": 35}]}]},
            "Timeline (1 track): 1. BGM: x (0-1s, 35%)",
        ),
        (
            {
                "t": [
                    {
                        "tt": 0,
                        "sg": [{"target_timerange": {"start": 500, "duration": 1500}, "material": {"name": "cat.mp4"}}],
                    }
                ]
            },
            "Timeline (1 track): 1. Video: cat.mp4 (0.5-2s)",
        ),
        (
            {"t": [{"tt": 0, "sg": [{"d": 1000, "name": "https://cdn.test/a.mp4?sig=secret"}]}]},
            "Timeline (1 track): 1. Video: https://cdn.test/a.mp4 (0-1s)",
        ),
    ],
)
def test_odd_drafts_are_summarised(draft: object, line: str):
    """What is missing is left out, what is known is shown, signatures are not."""
    assert summary(raw(draft)) == line


@pytest.mark.parametrize(
    "draft", [b"", b"null", b"[]", b"nonsense", b'{"t":3}', b'{"t":[null,1,{"sg":5}]}', b"\xff\xfe"]
)
def test_unreadable_drafts_are_empty(draft: bytes):
    """No bytes make it fail."""
    assert summary(draft) == "Timeline (0 tracks): empty"
    assert difference(draft, draft) == []


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (raw(DRAFT), []),
        (
            changed(text="New Dreams"),
            [("added", 'Added Title: "New Dreams" (0-3s)'), ("removed", 'Removed Title: "Urban Dreams" (0-3s)')],
        ),
        (changed(start=2000), [("moved", 'Moved Title: "Urban Dreams": 0-3s to 2-5s')]),
        (
            changed(d=12000),
            [("moved", 'Moved Title: "Urban Dreams": 0-3s to 0-12s'), ("changed", "Changed length: 10s to 12s")],
        ),
        (changed(colour="red"), [("changed", "Changed details of the look, not of the timeline (0-10s)")]),
        (
            raw(
                {
                    **DRAFT,
                    "t": [*DRAFT["t"][:1], {"tt": 1, "sg": [{"d": 10000, "m": {"title": "Lo-fi"}, "volume": 0.5}]}],
                }
            ),
            [
                ("removed", 'Removed Title: "Urban Dreams" (0-3s)'),
                ("changed", "Changed volume of BGM: Lo-fi: 35% to 50% (0-10s)"),
            ],
        ),
        (
            raw({**DRAFT, "t": DRAFT["t"][::-1]}),
            [("changed", "Changed details of the look, not of the timeline (0-10s)")],
        ),
    ],
)
def test_differences_are_told(after: bytes, changes: list[tuple[str, str]]):
    """What a silent edit did: what, name and timing, a line each."""
    assert [(change.what, change.text) for change in difference(raw(DRAFT), after)] == changes


def test_a_first_draft_is_all_new():
    """Without a draft before, everything was added."""
    assert difference(None, raw(DRAFT))[0] == Change(
        "added", "city timelapse", "0-10s", "Added Video: city timelapse (0-10s)"
    )
    assert [change.what for change in difference(None, raw(DRAFT))] == ["added"] * 3


KEYS = st.sampled_from(["t", "tt", "sg", "d", "m", "text", "name", "start", "end", "volume", "target_timerange", "x"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))


@given(
    st.fixed_dictionaries(
        {"t": st.lists(st.fixed_dictionaries({"tt": JSON, "sg": st.lists(JSON, max_size=3)}), max_size=3)}
    ),
    JSON,
)
def test_any_json_is_survived(draft: object, other: object):
    """No JSON at all makes a summary or a difference fail."""
    summary(raw(draft))
    difference(raw(draft), raw(other))
    difference(raw(other), raw(draft))
