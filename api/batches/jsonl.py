"""JSON Lines: a request in each line, in UTF-8."""

from collections.abc import Iterator
from pathlib import Path

from api import json_body
from api.batches.rows import MALFORMED, TOO_LARGE, Row, lines
from api.limits import ROW_BYTES

_MARK = b"\xef\xbb\xbf"


def read(path: Path) -> Iterator[Row]:
    """The file's rows; empty lines are none."""
    with path.open("rb") as file:
        for number, line in lines(file, ROW_BYTES, b"\n"):
            if line is None:
                yield Row(number, code=TOO_LARGE, detail=f"The line is longer than {ROW_BYTES // 1024} KiB.")
            elif line := (line.removeprefix(_MARK) if number == 1 else line).strip():
                yield _row(number, line)


def _row(number: int, line: bytes) -> Row:
    raw = line.decode(errors="replace")
    try:
        return Row(number, json_body.parse(line), raw, len(line))
    except json_body.NotJson as why:
        return Row(number, None, raw, len(line), code=MALFORMED, detail=f"No JSON: {why}.")
