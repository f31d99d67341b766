"""From a source to its batch: asked for once, under a key that the same command makes again."""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from api.cli.reporting import Exit, Mistake, fail, say
from api.cli.running.following import looks
from api.cli.running.source import Source
from api.cli.running.state import State
from api.client import BatchFields, CatalogRead, Client

CHUNK_BYTES = 1024 * 1024
READING_SECONDS = 1.0
"""Between two looks at a catalog that is being read."""
Options = Mapping[str, Any]
"""Those that were given: `template`, `first`, `priority`, `max_credits`, `max_failure_rate`, `name`."""


def state_for(directory: Path, url: str, given: str, options: Options, *, new: bool) -> State:
    """The directory's own, if it is of the same file and options, or a new one, which is written.

    Raises Mistake where it is of something else, OSError.
    """
    asked = _asked(given, options)
    before = None if new else State.read(directory)
    if before is not None:
        return _same(before, directory, url, given, asked)
    earlier = _left(directory) if new else []
    # The same command finds its batch by the key alone, also from another directory; a new one must not.
    key = hashlib.sha256(f"{asked}\n{uuid.uuid4() if new else ''}".encode()).hexdigest()
    return State(url=url, source=given, asked=asked, key=key, earlier=earlier).into(directory)


def ask(client: Client, source: Source, options: Options, state: State) -> str | None:
    """The batch's id: the one that is remembered, or of what is asked for now. None where a catalog's reading found
    nothing to make.

    Ends the command where a reading failed. Raises what client raises, OSError.
    """
    if state.batch is None:
        if source.kind == "catalog":
            _have_read(client, source, options, state)
        else:
            _send(client, source, options, state)
    return state.batch


def fields_of(options: Options) -> BatchFields:
    """As a batch takes them: the template is its rows' default."""
    fields: Any = {name: value for name, value in options.items() if name != "template"}
    if template := options.get("template"):
        fields["defaults"] = {"template": template}
    return fields


def begin_catalog(client: Client, source: Source, options: Options, state: State) -> str:
    """The catalog's id."""
    if state.catalog is None:
        rest = {name: value for name, value in options.items() if name != "template"}
        made = client.create_catalog(source.given, options["template"], idempotency_key=state.key, **rest)
        state.catalog, state.reading = made.id, made.last_read.id if made.last_read else None
        state.write()
    return state.catalog


def _send(client: Client, source: Source, options: Options, state: State) -> None:
    made = client.create_batch(Path(source.given), kind=source.rows, idempotency_key=state.key, **fields_of(options))
    state.batch = made.id
    state.write()


def _have_read(client: Client, source: Source, options: Options, state: State) -> None:
    catalog = begin_catalog(client, source, options, state)
    say(f"{catalog} is being read")
    read = _read(client, catalog, state)
    if read.error is not None:
        said = f"the feed could not be read: {read.error.get('message')} [{read.error.get('code')}]"
        fail(f"{said}\n  → vivideo catalog get {catalog}; then the same command with --new", Exit.FAILED)
    counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in read.counts.items() if count)
    say(f"it was read: {counted or 'nothing in it'}")
    state.batch = read.batch_id
    state.write()


def _read(client: Client, catalog: str, state: State) -> CatalogRead:
    for read in looks(lambda: _reading(client, catalog, state), READING_SECONDS):
        if read.state in ("done", "failed"):
            return read
    raise AssertionError("the looks do not end")


def _reading(client: Client, catalog: str, state: State) -> CatalogRead:
    """The catalog's first, which is this command's."""
    state.reading = state.reading or client.catalog_reads(catalog, limit=200).data[-1].id
    return client.catalog_reading(catalog, state.reading)


def _same(before: State, directory: Path, url: str, given: str, asked: str) -> State:
    if (before.url, before.asked) == (url, asked):
        return before
    batch = before.batch or "a batch that was begun"
    what = "another service's" if before.url != url else "another file's, or of other options"
    raise Mistake(
        f"{directory} holds the videos of {batch} ({before.source} at {before.url}): {what}, {given} is not it\n"
        "  → choose another directory with -o, or begin anew in this one with --new"
    )


def _left(directory: Path) -> list[str]:
    try:
        before = State.read(directory)
    except Mistake:
        return []
    return sorted(before.names()) if before else []


def _asked(given: str, options: Options) -> str:
    """The SHA-256 of the content, or the address, together with the options. Raises OSError."""
    digest = hashlib.sha256(json.dumps(dict(options), sort_keys=True).encode() + b"\n")
    for chunk in [given.encode()] if given.startswith(("http://", "https://")) else _chunks(Path(given)):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
