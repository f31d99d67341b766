"""Files as rows: every bad row is told with the line it begins at, and costs no other row."""

import csv
import io
import json
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth import Caller
from api.batches import checking, csv_files, jsonl
from api.batches.columns import Columns
from api.batches.csv_records import records
from api.batches.rows import Row
from api.batches.text_files import encoding_of
from api.limits import ROW_BYTES
from api.problems import Problem
from worker.owners.limits import Limits


def _csv(path: Path, content: bytes | str, **defaults: object) -> list[Row]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(csv_files.read(path, defaults)[1])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "source"


def _told(rows: list[Row]) -> list[tuple[int, object]]:
    return [(row.line, row.value if row.code is None else row.detail) for row in rows]


def test_a_row_in_quotes_over_several_lines_has_the_line_it_begins_at(file: Path):
    """And so has the one after it, and a bad one among them."""
    rows = _csv(file, 'ref,prompt\na,"two\nlines ""quoted"""\n\nb,one\nc\nd,"x\n\ny"\r\n')
    assert _told(rows) == [
        (2, {"external_ref": "a", "prompt": 'two\nlines "quoted"'}),
        (5, {"external_ref": "b", "prompt": "one"}),
        (6, "The row has 1 cells, the header 2."),
        (7, {"external_ref": "d", "prompt": "x\n\ny"}),
    ]


def test_a_quote_that_is_never_closed_costs_its_line_alone(file: Path):
    """The lines after it are rows of their own again, at the end of the file and in its middle."""
    rows = _csv(file, 'prompt,ref\n"open,1\ngood,2\n"a" b,3\ngood,4\n27" screen,5\n"open,6\n')
    assert [(row.line, row.code) for row in rows] == [
        (2, "row.malformed"),
        (3, None),
        (4, "row.malformed"),
        (5, None),
        (6, None),
        (7, "row.malformed"),
    ]
    assert rows[4].value == {"prompt": '27" screen', "external_ref": "5"}
    assert "never closed" in rows[-1].detail


def test_a_row_without_an_end_is_not_held_in_memory(file: Path):
    """A megabyte in quotes, and one without a line end, are each one bad row; what follows is read."""
    long = "x" * (4 * ROW_BYTES)
    rows = _csv(file, f'prompt\n"{long}\n"\n{long}\nshort\n')
    assert [(row.line, row.code) for row in rows if row.line in (2, 4, 5)] == [
        (2, "row.malformed"),
        (4, "row.malformed"),
        (5, None),
    ]
    assert max(len(row.text()) for row in rows) < ROW_BYTES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_spreadsheets_write_is_read(file: Path, encoding: str, delimiter: str):
    """In their encodings, with their separators and line ends."""
    text = delimiter.join(("SKU", "Prompt")) + "\r\n" + delimiter.join(("a-1", "Über den Café-Tisch")) + "\r\n"
    [row] = _csv(file, text.encode(encoding))
    assert (row.line, row.value) == (2, {"external_ref": "a-1", "prompt": "Über den Café-Tisch"})


def test_a_byte_that_is_no_character_rejects_its_row(file: Path):
    """0x81 is nothing in the Windows code page: the text is not changed silently."""
    rows = _csv(file, b"prompt\ncaf\xe9\nb\x81d\n")
    assert [row.code for row in rows] == [None, "row.malformed"]
    assert rows[0].value == {"prompt": "café"}


def test_utf8_is_told_apart_to_the_last_byte(file: Path):
    """One wrong byte far behind makes it another encoding; a character cut by a piece's border does not."""
    file.write_bytes(b"x" * (1024 * 1024 - 1) + "é".encode())
    assert encoding_of(file) == "utf-8"
    file.write_bytes(b"x" * (3 * 1024 * 1024) + b"\xe9")
    assert encoding_of(file) == "cp1252"


def test_cells_become_fields(file: Path):
    """Lists, numbers, metadata by name; an empty cell is not there."""
    header = "prompt,assets,tags,priority,deadline_seconds,metadata.Colour,language,metadata\n"
    row = 'a,"https://x.example/1.jpg\nupl_1|https://x.example/2.jpg","a b; c",high,60,red,,"{""size"": 4}"\n'
    [read] = _csv(file, header + row + ",,,,,,,\n")
    assert read.value == {
        "prompt": "a",
        "assets": [{"url": "https://x.example/1.jpg"}, {"upload": "upl_1"}, {"url": "https://x.example/2.jpg"}],
        "tags": ["a b", "c"],
        "priority": "high",
        "deadline_seconds": 60,
        "metadata": {"Colour": "red", "size": 4},
    }


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("prompt,colour", "colour"),
        ("ref,sku,prompt", "external_ref"),
        ("ref,tags", "prompt"),
        ("prompt,", "(no name)"),
    ],
)
def test_a_header_that_would_lose_a_column_is_refused(file: Path, header: str, named: str):
    """Unknown, twice the same, or no prompt at all: once, not in every row."""
    with pytest.raises(Problem) as refused:
        _csv(file, f"{header}\na,b,c\n")
    assert refused.value.code == "batch.header"
    assert named in [error.pointer for error in refused.value.errors]


@pytest.mark.parametrize("content", ["", "\n\n", '"prompt'])
def test_a_file_without_a_header_is_refused(file: Path, content: str):
    """Empty, or with a first row that is none."""
    with pytest.raises(Problem) as refused:
        _csv(file, content)
    assert refused.value.code == "batch.header"


def test_a_default_prompt_stands_in_for_the_column(file: Path):
    """The file may hold nothing but references and pictures then."""
    [row] = _csv(file, "ref\na\n", prompt="a kite")
    assert row.value == {"external_ref": "a"}


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n",;'), max_size=12).filter(
    str.strip
)


@given(rows=st.lists(st.tuples(cells, cells), max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_what_the_standard_library_writes_is_read_back(rows: list[tuple[str, str]], end: str, tmp_path_factory):
    """Whatever stands in the cells; lines are where they are written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(["prompt", "external_ref"])
    starts: list[int] = []
    for row in rows:
        starts.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    path = tmp_path_factory.getbasetemp() / "written.csv"
    read = [row for row in _csv(path, text.getvalue().encode()) if "\ufffd" not in row.text()]
    wanted = [
        (start, {"prompt": a.strip(), "external_ref": b.strip()})
        for start, (a, b) in zip(starts, rows, strict=True)
        if "\ufffd" not in a + b
    ]
    assert _told(read) == wanted


def test_json_lines_are_numbered_as_an_editor_does(file: Path):
    """Empty ones count and are none; what is no JSON costs its own line; a mark and CRLF are nothing."""
    file.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n{"a": 1, "a": 2}\n[1]\nnope\n\xff\n{"prompt": "b"}')
    rows = list(jsonl.read(file))
    assert [(row.line, row.code) for row in rows] == [
        (1, None),
        (3, "row.malformed"),
        (4, None),
        (5, "row.malformed"),
        (6, "row.malformed"),
        (7, None),
    ]
    assert rows[-1].value == {"prompt": "b"}
    assert "given twice" in rows[1].detail


def test_a_line_that_is_too_long_is_passed_over(file: Path):
    """Without reading it whole, and the next one is read."""
    file.write_bytes(b'{"prompt": "' + b"x" * (3 * ROW_BYTES) + b'"}\n{"prompt": "b"}\n')
    rows = list(jsonl.read(file))
    assert [(row.line, row.code) for row in rows] == [(1, "row.too_large"), (2, None)]


def test_a_file_of_broken_quotes_takes_no_time():
    """Each line opens a quote that the next one closes and opens again: what is in front of them is a row, and no line
    is read again and again, which would be hours for a megabyte."""
    lines = ["a,b\n", *['a","\n'] * 60_000]
    began = time.process_time()
    found = list(records(iter(enumerate(lines, start=2)), ","))
    assert found[0].cells == ["a", "b"]
    assert found[-1].why is not None
    assert time.process_time() - began < 20


def test_a_zero_in_a_header_is_no_name():
    """PostgreSQL holds none: the intake would take it for a database that is away."""
    assert Columns(["prompt", "metadata.a\0b"], {}).header == ["prompt", "metadata.ab"]


def test_a_file_is_held_a_chunk_at_a_time(file: Path, monkeypatch: pytest.MonkeyPatch):
    """Ten times as many rows, read and checked, take no more memory at once."""
    monkeypatch.setattr(checking, "CHUNK_ROWS", 100)

    def peak(rows: int) -> int:
        line = json.dumps({"prompt": "a kite", "language": "en", "metadata": {"text": "x" * 500}}) + "\n"
        file.write_text(line * rows)
        checker = checking.Checker(Caller("own_1", "key_1", frozenset(), Limits()), {}, strict=True)
        tracemalloc.start()
        try:
            assert sum(len(chunk.rows) for chunk in checker.chunks(jsonl.read(file))) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(200)  # what is made once
    assert peak(5_000) < 1.5 * peak(500)
