"""The event-stream algorithm against cases of the WHATWG specification, whole and one byte at a time."""

import itertools

import pytest

from worker.remote.sse import Event, EventTooLarge, Parser

M = "message"
# name: (bytes, [(type, data, id)])
CASES: dict[str, tuple[bytes, list[tuple[str, str, str]]]] = {
    "one event": (b"data: a\n\n", [(M, "a", "")]),
    "no space after the colon": (b"data:a\n\n", [(M, "a", "")]),
    "only the first space goes": (b"data:  a\n\n", [(M, " a", "")]),
    "trailing space stays": (b"data: a \n\n", [(M, "a ", "")]),
    "a tab is no space": (b"data:\ta\n\n", [(M, "\ta", "")]),
    "several lines are joined": (b"data: a\ndata: b\n\n", [(M, "a\nb", "")]),
    "an empty line of data among others": (b"data: a\ndata\ndata: b\n\n", [(M, "a\n\nb", "")]),
    "data without a colon": (b"data\n\n", [(M, "", "")]),
    "data with an empty value": (b"data:\n\n", [(M, "", "")]),
    "two bare data lines": (b"data\ndata\n\n", [(M, "\n", "")]),
    "the specification's example": (b"data\n\ndata\ndata\n\ndata:", [(M, "", ""), (M, "\n", "")]),
    "an unfinished event is dropped": (b"data: a\n\ndata: b\n", [(M, "a", "")]),
    "an unfinished line is dropped": (b"data: a\n\ndata: b", [(M, "a", "")]),
    "without a blank line nothing": (b"data: a\n", []),
    "blank lines alone": (b"\n\n\n\n", []),
    "extra blank lines": (b"\n\ndata: a\n\n\n\ndata: b\n\n", [(M, "a", ""), (M, "b", "")]),
    "CRLF": (b"data: a\r\ndata: b\r\n\r\n", [(M, "a\nb", "")]),
    "CR alone": (b"data: a\rdata: b\r\r", [(M, "a\nb", "")]),
    "mixed line ends": (b"data: a\rdata: b\ndata: c\r\n\n", [(M, "a\nb\nc", "")]),
    "CR then CRLF is a blank line": (b"data: a\r\r\ndata: b\n\n", [(M, "a", ""), (M, "b", "")]),
    "CR LF CR": (b"data: a\r\n\rdata: b\n\n", [(M, "a", ""), (M, "b", "")]),
    "LF CR": (b"data: a\n\rdata: b\n\n", [(M, "a", ""), (M, "b", "")]),
    "a comment": (b": hello\n\n", []),
    "an empty comment": (b":\n\n", []),
    "a comment inside an event": (b"data: a\n: no\ndata: b\n\n", [(M, "a\nb", "")]),
    "comments between events": (b": x\n\ndata: a\n\n: y\n\n", [(M, "a", "")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [(M, "a", "")]),
    "a second mark is a name's part": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [(M, "b", "")]),
    "a mark later is content": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [(M, "a", "")]),
    "a named event": (b"event: tick\ndata: a\n\n", [("tick", "a", "")]),
    "the name is forgotten afterwards": (b"event: tick\ndata: a\n\ndata: b\n\n", [("tick", "a", ""), (M, "b", "")]),
    "the name is forgotten without data too": (b"event: tick\n\ndata: b\n\n", [(M, "b", "")]),
    "an empty name is the default": (b"event:\ndata: a\n\n", [(M, "a", "")]),
    "the last name wins": (b"event: a\nevent: b\ndata: x\n\n", [("b", "x", "")]),
    "an id stays": (b"id: 1\ndata: a\n\ndata: b\n\n", [(M, "a", "1"), (M, "b", "1")]),
    "an empty id resets": (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [(M, "a", "1"), (M, "b", "")]),
    "an id with NUL is ignored": (b"id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n", [(M, "a", "1"), (M, "b", "1")]),
    "an id without data dispatches nothing": (b"id: 7\n\ndata: a\n\n", [(M, "a", "7")]),
    "blank lines after an id dispatch nothing": (b"id: 7\ndata: a\n\n\n\n", [(M, "a", "7")]),
    "unknown fields are ignored": (b"foo: bar\nfoo\ndata: a\n\n", [(M, "a", "")]),
    "field names have a case": (b"Data: no\ndata: a\nDATA: no\n\n", [(M, "a", "")]),
    "leading space is part of the name": (b" data: no\ndata: a\n\n", [(M, "a", "")]),
    "a space before the colon too": (b"data : no\ndata: a\n\n", [(M, "a", "")]),
    "colons in the value": (b"data: a:b::c\n\n", [(M, "a:b::c", "")]),
    "NUL in data": (b"data: a\x00b\n\n", [(M, "a\x00b", "")]),
    "UTF-8": ("data: 视频 🎬 é\n\n".encode(), [(M, "视频 🎬 é", "")]),
    "U+2028, U+2029 and U+0085 end no line": (
        "data: a\u2028b\u2029c\u0085d\n\n".encode(),
        [(M, "a\u2028b\u2029c\u0085d", "")],
    ),
    "form feed and vertical tab end no line": (b"data: a\x0bb\x0cc\x1cd\n\n", [(M, "a\x0bb\x0cc\x1cd", "")]),
    "invalid UTF-8 is replaced": (b"data: a\xffb\n\n", [(M, "a\ufffdb", "")]),
    "half a character at a line's end": (b"data: a\xe4\xbd\ndata: b\n\n", [(M, "a\ufffd\nb", "")]),
    "a lone surrogate's bytes": (b"data: \xed\xa0\x80\n\n", [(M, "\ufffd\ufffd\ufffd", "")]),
    "retry alone": (b"retry: 3000\n\ndata: a\n\n", [(M, "a", "")]),
    "empty input": (b"", []),
}


def parsed(*pieces: bytes) -> list[tuple[str, str, str]]:
    parser = Parser()
    events: list[Event] = [event for piece in pieces for event in parser.feed(piece)]
    return [(event.type, event.data, event.id) for event in events]


@pytest.mark.parametrize("name", CASES)
def test_whole(name: str):
    """Each case fed in one piece gives exactly the specification's events."""
    stream, expected = CASES[name]
    assert parsed(stream) == expected


@pytest.mark.parametrize("name", CASES)
def test_one_byte_at_a_time(name: str):
    """Where the network cuts makes no difference: byte by byte gives the same events."""
    stream, expected = CASES[name]
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@pytest.mark.parametrize("name", CASES)
def test_cut_in_two_anywhere(name: str):
    """Nor does a single cut at any place, with an empty piece thrown in."""
    stream, expected = CASES[name]
    assert all(parsed(stream[:cut], b"", stream[cut:]) == expected for cut in range(len(stream) + 1))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_any_line_ending(name: str, ending: bytes):
    """Cases written with LF mean the same with CRLF and with CR."""
    stream, expected = CASES[name]
    if b"\r" in stream:
        return
    assert parsed(stream.replace(b"\n", ending)) == expected


def test_an_event_is_dispatched_when_its_blank_line_ends():
    """With CR as line end nothing waits for a possible LF that may be ten minutes away."""
    parser = Parser()
    assert list(parser.feed(b"data: a\r\r")) == [Event("a")]
    assert list(parser.feed(b"\ndata: b\r\n\r")) == [Event("b")]


@pytest.mark.parametrize(
    ("value", "expected"), [(b"10", 10), (b"", None), (b"1x", None), (b"-1", None), ("１".encode(), None)]
)
def test_retry_takes_ascii_digits_only(value: bytes, expected: int | None):
    """`retry` is kept only when it is nothing but ASCII digits."""
    parser = Parser()
    list(parser.feed(b"retry: " + value + b"\n\n"))
    assert parser.retry == expected


def test_comments_are_counted():
    """Comments dispatch nothing but can be seen as signs of life."""
    parser = Parser()
    assert list(parser.feed(b": a\n:\n\n: half")) == []
    assert parser.comments == 2


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 60, b"x" * 60, b"data: xxxxxxxxxxxxxx\n"])
def test_an_event_without_end_is_refused(piece: bytes):
    """Neither one endless line nor endless lines of one event fill the memory."""
    parser = Parser(largest=1000)
    endless = itertools.chain.from_iterable(parser.feed(piece) for _ in range(200))
    with pytest.raises(EventTooLarge):
        list(endless)


def test_many_events_are_not_one_large_one():
    """The bound is per event: a long stream of small ones never meets it, comments included."""
    parser = Parser(largest=100)
    pieces = [b"data: 0123456789\n\n: ping\n:ping\n"] * 500
    assert sum(len(list(parser.feed(piece))) for piece in pieces) == 500


def test_a_large_event_is_read_in_linear_time():
    """Five megabytes in one event, in network-sized pieces, well below a second."""
    stream = b"data: " + b"x" * 5_000_000 + b"\n\n"
    parser = Parser()
    events = [e for i in range(0, len(stream), 65536) for e in parser.feed(stream[i : i + 65536])]
    assert [len(event.data) for event in events] == [5_000_000]
