"""Batches: many videos asked for at once, steered together."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict, Unpack

import httpx
from pydantic import ValidationError

from .answers import LONGEST_PAGE, Page, every
from .batch_answers import Batch, BatchDryRun, BatchItem, ManifestLine, Retried, RowProblem
from .connection import STREAM_TIMEOUT, Connection
from .errors import ApiError, NotTheService, Unusable
from .renders import Priority
from .uploads import asked
from .wire import CHUNK_BYTES, Progress, appearing, as_json, at, file_body, lines, parameters


class BatchFields(TypedDict, total=False):
    """What a batch may be asked for with, beside its items."""

    name: str | None
    priority: Priority
    first: int | None
    """Begin so many; the others wait for `approve_batch`."""
    max_credits: float | None
    """Pause before more is spent."""
    max_failure_rate: float | None
    """Pause when more than this share of the ended ones failed (0-1)."""
    defaults: Mapping[str, Any]
    """Fields that all items have unless they have their own."""


_TYPES = {
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".txt": "text/csv",
}


BATCH_TIMEOUT = httpx.Timeout(600, connect=5, pool=60)
"""After the last byte of a file every row of it is checked and kept: a million take minutes."""


class Batches(Connection):
    """Calls about batches."""

    def create_batch(
        self,
        source: Sequence[Mapping[str, Any]] | Path | str,
        *,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        kind: Literal["jsonl", "csv"] | None = None,
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[BatchFields],
    ) -> Batch:
        """Ask for many videos: up to 500 items (each what `create_render` takes, with its `prompt`), or the path of a
        file of any number, streamed: JSON Lines or CSV, as `kind` or else its ending says. `tags` and `metadata` go
        with items alone.

        Raises Invalid `batch.empty` where no row is good, OSError when the file cannot be read.
        """
        sent = _call(source, fields, tags, metadata, kind, on_progress)
        return self._ask(Batch, "POST", at("batches"), idempotency_key=idempotency_key, **sent)

    def dry_run_batch(
        self,
        source: Sequence[Mapping[str, Any]] | Path | str,
        *,
        kind: Literal["jsonl", "csv"] | None = None,
        **fields: Unpack[BatchFields],
    ) -> BatchDryRun:
        """What a batch would come to; every row is checked, nothing is kept or charged."""
        sent = _call(source, fields, (), None, kind, None)
        return self._rehearse(BatchDryRun, at("batches"), **sent)

    def batch(self, batch_id: str) -> Batch:
        """How a batch stands."""
        return self._ask(Batch, "GET", at("batches", batch_id))

    def batches(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Batch]:
        """One page (50, at most 200), newest first."""
        return self._list(Page[Batch], at("batches"), limit=limit, cursor=cursor)

    def update_batch(self, batch_id: str, **changes: Any) -> Batch:
        """Change its `name`, `metadata`, `max_credits`, `max_failure_rate` (None takes a limit off), or `priority`,
        which those of its renders get that are still queued."""
        return self._ask(Batch, "PATCH", at("batches", batch_id), body=changes, timeout=BATCH_TIMEOUT)

    def batch_items(
        self,
        batch_id: str,
        *,
        status: str | Sequence[str] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[BatchItem]:
        """One page of a batch's renders, in the order of its source."""
        path = at("batches", batch_id, "items")
        return self._list(Page[BatchItem], path, status=status, limit=limit, cursor=cursor)

    def iter_batch_items(self, batch_id: str, *, status: str | Sequence[str] | None = None) -> Iterator[BatchItem]:
        """All of them, page by page."""
        return every(lambda cursor: self.batch_items(batch_id, status=status, limit=LONGEST_PAGE, cursor=cursor))

    def batch_problems(self, batch_id: str, *, limit: int | None = None, cursor: str | None = None) -> Page[RowProblem]:
        """One page of the rows that became no render."""
        return self._list(Page[RowProblem], at("batches", batch_id, "problems"), limit=limit, cursor=cursor)

    def save_batch_problems(self, batch_id: str, path: Path | str) -> Path:
        """All of them as a CSV file, to be mended and sent again. Raises OSError."""
        return self._save(at("batches", batch_id, "problems"), Path(path), {"format": "csv"})

    def batch_manifest(self, batch_id: str) -> Iterator[ManifestLine]:
        """What became of each row, streamed, in the order of the source; also while the batch runs."""
        path = at("batches", batch_id, "manifest")
        patience, seen = self._patience(), 0
        while True:
            try:
                for number, line in enumerate(self._manifest(path), start=1):
                    if number > seen:
                        patience, seen = self._patience(), number
                        yield line
                return
            except (httpx.RequestError, ApiError) as fault:
                patience.pause(self._passing(fault))

    def save_batch_manifest(self, batch_id: str, path: Path | str, format: Literal["jsonl", "csv"] = "csv") -> Path:
        """The manifest as a file. Raises OSError."""
        return self._save(at("batches", batch_id, "manifest"), Path(path), {"format": format})

    def cancel_batch(self, batch_id: str) -> Batch:
        """Cancel what is not final of a batch; it is `finished` once all of that is undone."""
        return self._ask(Batch, "POST", at("batches", batch_id, "cancel"))

    def pause_batch(self, batch_id: str) -> Batch:
        """Begin nothing new of it; what is under way goes on."""
        return self._ask(Batch, "POST", at("batches", batch_id, "pause"))

    def resume_batch(self, batch_id: str) -> Batch:
        """Let it go on. Raises Conflict `batch.max_credits` where it may spend no more."""
        return self._ask(Batch, "POST", at("batches", batch_id, "resume"))

    def approve_batch(self, batch_id: str) -> Batch:
        """Let the renders begin that waited behind its `first` ones."""
        return self._ask(Batch, "POST", at("batches", batch_id, "approve"))

    def retry_failed(self, batch_id: str, *, force: bool = False, idempotency_key: str | None = None) -> Retried:
        """Begin up to 1,000 of its failed and expired renders anew; those that could be charged a second time only
        with `force`."""
        return self._ask(
            Retried,
            "POST",
            at("batches", batch_id, "retry-failed"),
            body={"force": force},
            idempotency_key=idempotency_key,
            timeout=BATCH_TIMEOUT,
        )

    def _manifest(self, path: str) -> Iterator[ManifestLine]:
        with self._streamed(path, timeout=STREAM_TIMEOUT) as response:
            try:
                yield from (ManifestLine.model_validate_json(line) for line in lines(response.iter_bytes()) if line)
            except ValidationError:
                raise NotTheService(self.base_url) from None

    def _save(self, address: str, path: Path, params: Mapping[str, str]) -> Path:
        """An answer as a file, which appears when it is whole."""
        patience = self._patience()
        with appearing(path) as file:
            while True:
                try:
                    self._pour(address, params, file)
                    return path
                except (httpx.RequestError, ApiError) as fault:
                    patience.pause(self._passing(fault))

    def _pour(self, address: str, params: Mapping[str, str], file: BinaryIO) -> None:
        file.seek(0)
        file.truncate()
        with self._streamed(address, params=params, timeout=STREAM_TIMEOUT) as response:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                file.write(chunk)


def _call(
    source: Sequence[Mapping[str, Any]] | Path | str,
    fields: BatchFields,
    tags: Sequence[str],
    metadata: Mapping[str, Any] | None,
    kind: Literal["jsonl", "csv"] | None,
    on_progress: Progress | None,
) -> dict[str, Any]:
    """How a batch is asked for: items in a JSON body, a file as the body with its fields as parameters."""
    if not isinstance(source, Path | str):
        body = {"items": [asked(one) for one in source], "tags": tags, "metadata": metadata or {}, **fields}
        return {"body": body, "timeout": BATCH_TIMEOUT}
    if tags or metadata:
        raise Unusable("a file's batch takes no tags and no metadata; `update_batch` gives it metadata")
    path = Path(source)
    media_type = _TYPES.get(f".{kind}" if kind else path.suffix.lower())
    if media_type is None:
        raise Unusable(f"{path} ends with neither .jsonl nor .csv, so nobody knows what it is")
    params = parameters({name: value for name, value in fields.items() if name != "defaults"})
    if fields.get("defaults"):
        params["defaults"] = as_json(fields.get("defaults") or {}).decode()
    return file_body(path, media_type, on_progress) | {"params": params, "timeout": BATCH_TIMEOUT}
