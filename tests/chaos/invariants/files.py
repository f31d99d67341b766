"""Every success has one playable file, and it is the one that the backend made for that export."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import av
from av.error import FFmpegError

from tests.chaos.books import Books, Row
from tests.chaos.invariants.violation import Violation


def file(books: Books) -> Iterator[Violation]:
    """One row and one file for each run that succeeded, none for any other."""
    for render, row in books.renders.items():
        if row["purged_at"] is not None:
            continue
        good = {run["run"] for run in books.all_runs(render) if run["status"] == "succeeded"}
        kept = {one["run"]: one for one in books.of(books.results, render)}
        if good != kept.keys():
            yield Violation("file", render, f"runs {sorted(good)} succeeded, runs {sorted(kept)} have a result")
        for wrong in (_wrong(books, render, kept[run]) for run in sorted(good & kept.keys())):
            if wrong:
                yield Violation("file", render, wrong)
        found = sorted(path.name for path in books.folder(render).rglob("*.mp4"))
        named = sorted(_named_in(books, books.folder(render)))
        if found != named:
            yield Violation("file", render, f"stored are {found}, on file {named}")


def _named_in(books: Books, folder: Path) -> set[str]:
    """Videos in a folder that some result names: its render's own, or those that took one over."""
    paths = (books.given.home / "results" / one["storage_key"] for one in books.results)
    return {path.name for path in paths if path.is_relative_to(folder)}


def _wrong(books: Books, render: str, result: Row) -> str | None:
    """What is wrong with a result: its file, its hash, or whose file it is."""
    path = books.given.home / "results" / result["storage_key"]
    if not path.is_file():
        return "its file is not there"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != result["sha256"] or path.stat().st_size != result["bytes"]:
        return f"the file has {digest[:12]} and {path.stat().st_size} bytes, the row another hash or size"
    maker = books.maker(render)
    made = {
        books.backend_exports.get(one["id"], {}).get("sha256")
        for one in books.of(books.exports, maker)
        if (one["run"] == result["run"] or maker != render) and one["state"] == "completed"
    }
    if digest not in made:
        return f"the backend made no such file for its exports: {digest[:12]}"
    return None if playable(path) else "it cannot be played"


def playable(path: Path) -> bool:
    """Whether every frame can be decoded, and there are some."""
    try:
        with av.open(str(path)) as container:
            return sum(1 for _ in container.decode(video=0)) > 0
    except (FFmpegError, OSError, IndexError):
        return False
