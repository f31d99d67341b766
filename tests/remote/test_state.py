"""Readings of a session's state: exact drafts, and fingerprints that only a turn can change."""

import copy
import json
from typing import Any

import pytest

from worker.remote import answers
from worker.remote.errors import Unintelligible
from worker.remote.state import State

STATE: dict[str, Any] = {
    "draft": {"d": 10000, "t": [{"tt": 0, "sg": [{"d": 10000, "url": "https://cdn.test/v.mp4?sig=1&exp=2"}]}]},
    "generated_media": [{"id": "b", "url": "https://cdn.test/b.mp4?sig=1"}, {"id": "a"}],
    "video_infos": [{"filename": "a.jpg", "cdn_url": "https://cdn.test/a.jpg?sig=1"}],
    "canvas_config": {"w": 1080},
}


def reading(state: object) -> State:
    return answers.state(json.dumps({"code": 0, "data": {"state": state}}).encode())


def altered(change: str) -> dict[str, Any]:
    state = copy.deepcopy(STATE)
    exec(change, {"s": state})  # noqa: S102 - the table below
    return state


@pytest.mark.parametrize(
    "change",
    [
        "s['draft']['t'][0]['sg'][0]['url'] = 'https://cdn.test/v.mp4?sig=other'",
        "s['draft']['t'][0]['sg'][0]['url'] += '#t=1'",
        "s['generated_media'].reverse()",
        "s['video_infos'].append({'filename': 'b.jpg'})",
        "s['canvas_config']['w'] = 720",
        "s['draft']['updated_at'] = 'now'",
        "s['draft']['lastModified'] = 123",
        "s['generated_media'][0]['expires_at'] = 99",
        "s['draft']['effects'] = []",
        "s['draft']['note'] = None",
        "s['draft']['d'] = 10000.0",
        "s['draft'] = dict(reversed(s['draft'].items()))",
        "s['server_time'] = 5",
    ],
)
def test_what_changes_by_itself_is_no_change(change: str):
    """Signatures, clocks, uploads, order of keys and empty members leave the fingerprint alone."""
    assert not reading(altered(change)).changed_from(reading(STATE).fingerprint)


@pytest.mark.parametrize(
    "change",
    [
        "s['draft']['d'] = 10001",
        "s['draft']['t'][0]['sg'].append({'d': 1})",
        "s['draft']['t'].insert(0, {'tt': 7})",
        "s['draft']['unknown'] = 0",
        "s['draft']['unknown'] = False",
        "s['draft']['t'][0]['sg'][0]['url'] = 'https://cdn.test/other.mp4?sig=1'",
        "s['draft']['t'][0]['sg'][0]['text'] = 'What? Why#'",
        "s['generated_media'].append({'id': 'c'})",
        "s['generated_media'][0]['status'] = 'processing'",
        "s['draft'] = None",
        "s['generated_media'] = []",
    ],
)
def test_what_a_turn_does_is_a_change(change: str):
    """Any content, of a known or an unknown key, changes the fingerprint."""
    assert reading(altered(change)).changed_from(reading(STATE).fingerprint)


def test_text_with_a_question_mark_is_no_url():
    """Only URLs lose what follows a question mark."""
    one, other = altered("s['draft']['x'] = 'Why? A'"), altered("s['draft']['x'] = 'Why? B'")
    assert reading(one).changed_from(reading(other).fingerprint)


@pytest.mark.parametrize(
    "draft",
    [
        b'{ "t" : [ ] ,\n "d":1.0 , "big":123456789012345678901234567890 }',
        b'{"z":1,"a":"\\u0000 \\ud83d lone","f":1e400,"n":-0.0, "dup":1, "dup":2}',
        '{"name":"视频 🎬 \u2028"}'.encode(),
        b'{"half":"\\ud83d","raw":"\x01\xff\t","n":NaN , "deep":{"x":[1, {"y":"}"}]}}',
        b'{"half":"\\ud83d", "":"empty name" , "t":[ ]\r\n}',
        b'{"pad":"' + b"x" * 300_000 + b'"}',
    ],
)
def test_the_draft_is_kept_byte_for_byte(draft: bytes):
    """White space, key order, duplicate keys, escapes and odd numbers: the bytes are those received."""
    state = answers.state(b'{"code":0, "data" : {"state":{"video_infos":[],"draft":  %b  ,"x":1}}}' % draft)
    assert state.draft == draft


@pytest.mark.parametrize(
    ("body", "has_draft"),
    [
        (b'{"code":0,"data":{"state":{"draft":{"t":[]}}}}', True),
        (b'{"success":true,"data":{"draft":{"t":[]}}}', True),
        (b'{"state":{"draft":{"t":[]}}}', True),
        (b'{"draft":{"t":[]}}', True),
        (b'\xef\xbb\xbf{"draft":{"t":[]}}', True),
        (b'{"code":0,"data":{"state":{}}}', False),
        (b'{"code":0,"data":{"state":null}}', False),
        (b'{"code":0,"data":null}', False),
        (b'{"code":0,"data":{}}', False),
        (b'{"code":0,"data":{"state":{"draft":null}}}', False),
        (b'{"code":0,"data":{"state":{"draft":{}}}}', False),
    ],
)
def test_every_envelope_is_read(body: bytes, has_draft: bool):
    """Enveloped, half enveloped or bare, with or without a draft."""
    state = answers.state(body)
    assert (state.draft is not None) == has_draft
    assert not state.ready


def test_an_empty_session_has_one_fingerprint():
    """However emptiness is written, it is the same."""
    bodies = [b'{"data":null}', b'{"data":{"state":{}}}', b'{"data":{"state":{"draft":{"t":[]},"generated_media":{}}}}']
    assert len({answers.state(body).fingerprint for body in bodies}) == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"hello":1}', b'{"data":[1]}', b'{"data":{"state":"x"}}', b"null", b"{"]
)
def test_no_state_is_unintelligible(body: bytes):
    """An answer without a state is not taken for an empty one."""
    with pytest.raises(Unintelligible):
        answers.state(body)


@pytest.mark.parametrize(
    ("tracks", "ready"),
    [
        ([], False),
        ([{"tt": 0}], False),
        ([{"sg": []}], False),
        ([{"sg": []}, {"sg": [{}]}], True),
        (None, False),
        ("x", False),
        ([1], False),
    ],
)
def test_ready_needs_a_segment(tracks: object, ready: bool):
    """Ready for export: some track with segments."""
    assert reading({"draft": {"t": tracks, "d": 1}}).ready == ready


def test_the_rest_of_a_reading():
    """Raw media, uploads (as list or by id) and the registration id are told; no URL shows in the repr."""
    state = reading({**STATE, "user": {"bind_id": "b7"}})
    assert (state.raw_generated, state.bind_id, [file.filename for file in state.files]) == (True, "b7", ["a.jpg"])
    assert not reading({"draft": {}, "generated_media": []}).raw_generated
    by_id = reading({"draft": {}, "video_infos": {"1": {"filename": "x.mp4", "duration": "3.5"}, "2": None}})
    assert [(file.filename, file.duration) for file in by_id.files] == [("x.mp4", 3.5)]
    assert "sig=1" not in repr(state)
    assert answers.state(b'{"code":0,"data":{"bindId":"z","state":{"draft":{}}}}').bind_id == "z"
