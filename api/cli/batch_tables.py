"""Batches in words."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from api.cli.balances import amount
from api.cli.rows import fields, table, when
from api.cli.tables import COLOURS
from api.client import Batch, BatchDryRun, BatchItem, RowProblem


def show_batches(console: Console, batches: Sequence[Batch]) -> None:
    """A table, newest first, or how to get a first row."""
    if not batches:
        console.print("No batches here. Send one:  vivideo batch create products.csv")
        return
    rows = [
        (one.id, one.name or "", one.status, f"{one.progress:.0%}", str(one.total), when(one.created_at))
        for one in batches
    ]
    table(console, ("id", "name", "status", "progress", "renders", "created"), rows)


def show_batch(console: Console, batch: Batch) -> None:
    """Everything a person asks about one batch."""
    counted = ", ".join(f"{count} {status}" for status, count in batch.counts.items() if count)
    unknown = f", and {batch.credits.unknown_count} charges that nobody knows" if batch.credits.unknown_count else ""
    pause = batch.pause
    why = f"{pause.reason}{f': {pause.detail}' if pause.detail else ''}" if pause else None
    estimate = batch.estimate
    fields(
        console,
        [
            ("id", batch.id),
            ("name", batch.name),
            ("status", batch.status),
            ("paused for", why),
            ("renders", f"{batch.total} ({counted})" if counted else str(batch.total)),
            ("rejected", f"{batch.rejected} rows:  vivideo batch problems {batch.id}" if batch.rejected else None),
            ("progress", f"{batch.progress:.0%}"),
            ("credits", f"{amount(batch.credits.known)}{unknown}"),
            ("at most", f"{amount(batch.max_credits)} credits" if batch.max_credits is not None else None),
            ("expected", f"{when(estimate.p50)}, at the latest about {when(estimate.p90)}" if estimate else None),
            ("created", when(batch.created_at)),
            ("finished", when(batch.finished_at)),
            ("approve", f"vivideo batch approve {batch.id}" if "approve" in batch.links else None),
            ("again", f"vivideo batch retry {batch.id}" if "retry-failed" in batch.links else None),
        ],
    )


def show_item(console: Console, item: BatchItem) -> None:
    """One line."""
    state = Text(f"{item.status:<10}", style=COLOURS.get(item.status, ""))
    error = f"  {item.error.code}" if item.error else ""
    console.print(Text(f"{item.position:>7}  {item.id}  ") + state + Text(f"  {item.ref or ''}{error}"))


def show_problem(console: Console, problem: RowProblem) -> None:
    """One line."""
    ref = f" ({problem.ref})" if problem.ref else ""
    console.print(f"line {problem.line}{ref}: {problem.detail} [{problem.code}]", markup=False)


def show_dry_run(console: Console, found: BatchDryRun) -> None:
    """What the batch would come to."""
    seconds = found.estimate.seconds
    fields(
        console,
        [
            ("valid", f"{found.total} rows: nothing was sent to the backend, nothing was charged"),
            ("rejected", f"{found.rejected} rows" if found.rejected else None),
            ("credits", f"about {amount(found.estimate.credits)}"),
            ("time", f"about {seconds:.0f} s" if seconds is not None else None),
            *((f"row {one.line}", one.prompt) for one in found.prompts),
        ],
    )
    for problem in found.problems:
        show_problem(console, problem)
