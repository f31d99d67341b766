"""Rows become requests, or problems: the same rules as for a single render."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from api import handlers, intake, templating
from api.auth import Caller
from api.batches.languages import Languages
from api.batches.rows import INVALID, Row
from api.problems import Problem
from api.schemas import Output, VideoRequest
from api.templating import Words
from worker.batches.store import Entry, NewProblem
from worker.renders.models import Upload
from worker.templates.store import Archived, Found

CHUNK_ROWS = 1_000
"""In one transaction: it takes about 50 ms, which is what it may hold the feed of events up."""
CHUNK_CHARACTERS = 4 * 1024 * 1024
"""Longer rows make smaller chunks: what is in memory of a file is one of these."""
DETAIL_CHARACTERS = 500
ERRORS_TOLD = 3
TEMPLATES_KNOWN = 1000
"""Of one batch; rows that name more than that have them looked up each time."""

Checked = tuple[Row, VideoRequest | None, NewProblem | None]


@dataclass(frozen=True)
class Chunk:
    """Some checked rows, in order."""

    rows: list[Checked]

    def uploads(self) -> list[str]:
        """Those that the requests name."""
        return list(dict.fromkeys(one for _, request, _ in self.rows if request for one in intake.wanted(request)))


class Checker:
    """One batch's checks."""

    def __init__(self, caller: Caller, defaults: Mapping[str, Any], *, strict: bool = True) -> None:
        """Not `strict`: columns that a template knows nothing of are passed over, and cells read as it declares."""
        self._caller, self._strict = caller, strict
        self._templates: dict[str, Found | Problem] = {}
        # pydantic makes a deep copy of a default for each row, but takes one that is given as it is.
        self._defaults = {"output": Output()} | dict(defaults)
        self._languages = Languages()

    def chunks(self, rows: Iterable[Row]) -> Iterator[Chunk]:
        """The rows in pieces, each checked by itself."""
        held: list[Checked] = []
        size = 0
        for row in rows:
            held.append(self._checked(row))
            size += row.size
            if len(held) == CHUNK_ROWS or size >= CHUNK_CHARACTERS:
                yield Chunk(held)
                held, size = [], 0
        if held:
            yield Chunk(held)

    def _checked(self, row: Row) -> Checked:
        if row.code is not None:
            return row, None, _problem(row, row.code, row.detail)
        if not isinstance(row.value, dict):
            return row, None, _problem(row, INVALID, "The row is no JSON object.")
        try:
            return row, VideoRequest.model_validate(self._complete(row.value)), None
        except ValidationError as wrong:
            return row, None, _problem(row, INVALID, _words(wrong))

    def _complete(self, value: dict[str, Any]) -> dict[str, Any]:
        whole = self._defaults | value
        own, common = value.get("metadata"), self._defaults.get("metadata")
        if isinstance(own, dict) and isinstance(common, dict):
            whole["metadata"] = common | own
        return whole

    def sorted_out(
        self, session: Session, chunk: Chunk, found: dict[str, Upload]
    ) -> tuple[list[Entry], list[NewProblem]]:
        """The chunk's renders and problems, now that it is known which of its uploads are there."""
        entries: list[Entry] = []
        problems: list[NewProblem] = []
        for row, request, problem in chunk.rows:
            if request is None:
                assert problem is not None, "a row is one or the other"
                problems.append(problem)
                continue
            try:
                assets = intake.kept_assets(request.assets, found)
                words = self._words(session, request)
            except Problem as missing:
                problems.append(_problem(row, missing.code, _told(missing)))
                continue
            entries.append(Entry(intake.new_render(self._caller, request, words, assets)))
        return entries, problems

    def _words(self, session: Session, request: VideoRequest) -> Words:
        """Raises Problem `template.…`, Archived."""
        if request.prompt is None:
            found = self._template(session, request.template or "")
            return templating.filled(request, found, strict=self._strict, detect=self._languages.of)
        return Words(request.prompt, request.language or self._languages.of(request.prompt), request.tags)

    def _template(self, session: Session, ref: str) -> Found:
        """Looked up once: all rows of a batch that name it pin the same version. Raises Problem `template.unknown`."""
        known = self._templates.get(ref)
        if known is None:
            try:
                known = templating.resolved(session, self._caller.owner_id, ref)
            except Problem as problem:
                known = problem
            except Archived as archived:
                known = Problem("template.archived", str(archived))
            if len(self._templates) < TEMPLATES_KNOWN:
                self._templates[ref] = known
        if isinstance(known, Problem):
            raise known.with_traceback(None)  # or each row would add its own to it
        return known


def _problem(row: Row, code: str, detail: str) -> NewProblem:
    ref = row.value.get("external_ref") if isinstance(row.value, dict) else None
    detail = detail.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    kept = _plain(ref) if isinstance(ref, str) else None
    return NewProblem(row.line, code, detail[:DETAIL_CHARACTERS], kept, row.text())


def _plain(ref: str) -> str:
    return ref[:200].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _words(wrong: ValidationError) -> str:
    errors = wrong.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{handlers.pointer(('body', *one['loc']))}: {handlers.words(one)}" for one in errors[:ERRORS_TOLD]]
    more = f" (and {len(errors) - ERRORS_TOLD} more)" if len(errors) > ERRORS_TOLD else ""
    return "; ".join(told) + more


def _told(problem: Problem) -> str:
    return "; ".join(f"{one.pointer}: {one.detail}" for one in problem.errors[:ERRORS_TOLD]) or problem.detail
