"""A batch's rejected rows as a file: mended in a spreadsheet, it is sent again as it is.

A CSV source's rows come with their own columns; beside these stand `problem.line`, `problem.code` and
`problem.detail`, which the intake passes over. Rows of other sources come as text in one column.
"""

import csv
import io
from collections.abc import Iterator, Sequence

from api.batches.columns import IGNORED
from api.database import look
from worker.batches import store
from worker.batches.models import Batch, BatchProblem

PAGE = 500
_TOLD = ("line", "code", "detail")


def lines(batch: Batch) -> Iterator[str]:
    """Pieces of the file."""
    columns = batch.columns or ["raw"]
    yield _written([[*columns, *(IGNORED + name for name in _TOLD)]])
    after = (0, 0)
    while page := look(lambda session, after=after: store.problems(session, batch.id, after=after, limit=PAGE)):
        yield _written([_row(one, columns, split=batch.columns is not None) for one in page])
        after = (page[-1].line, page[-1].id)


def _row(problem: BatchProblem, columns: Sequence[str], *, split: bool) -> list[str]:
    raw = problem.raw or ""
    cells = next(csv.reader(io.StringIO(raw)), []) if split else [raw]
    if len(cells) > len(columns):
        cells = [*cells[: len(columns) - 1], ",".join(cells[len(columns) - 1 :])]
    cells += [""] * (len(columns) - len(cells))
    return [*cells, *(str(getattr(problem, name)) for name in _TOLD)]


def _written(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
