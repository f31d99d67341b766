"""Nothing accepted is lost, and nothing is there that nobody asked for."""

from collections.abc import Iterator

from tests.chaos.books import FINAL, Books
from tests.chaos.invariants.violation import Violation


def final(books: Books) -> Iterator[Violation]:
    """Every run of every render ended in a final status; a render has as many runs as it counts."""
    for render, row in books.renders.items():
        runs = books.all_runs(render)
        if [one["run"] for one in runs] != list(range(1, row["run"] + 1)):
            yield Violation("final", render, f"run {row['run']}, but on file are {[one['run'] for one in runs]}")
        for run in runs:
            if run["status"] not in FINAL or run["finished_at"] is None:
                where = f"{run['status']} at {run['stage']}, reason {run.get('reason')}"
                yield Violation("final", render, f"run {run['run']} has not ended: {where}")


def accepted(books: Books) -> Iterator[Violation]:
    """What was answered with 202 is there, and there is nothing else: a repeated key made nothing twice."""
    told = books.given.accepted
    if told is None:
        return
    for render in sorted(told - books.renders.keys()):
        yield Violation("accepted", render, "was accepted and is not there")
    for render in sorted(books.renders.keys() - told):
        yield Violation("accepted", render, f"nobody was told of it: {books.renders[render]['prompt'][:60]!r}")
