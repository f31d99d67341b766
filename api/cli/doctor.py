"""`vivideo doctor`: looks at everything an installation needs, on the server's side, and says what to do."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.reporting import Exit, fail, show_json

if TYPE_CHECKING:
    from rich.console import Console

    from worker.doctor.findings import Case, Finding
    from worker.remote.record import Recorder

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
NoBackend = Annotated[bool, typer.Option("--no-backend", help="Leave the backend alone.")]
Record = Annotated[
    Path | None, typer.Option("--record", metavar="DIR", help="Keep what the backend was asked and said, redacted.")
]
STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(as_json: Json = False, no_backend: NoBackend = False, record: Record = None) -> None:
    """Check settings, servers, workers and the backend (by calls that cost nothing) and say what to do."""
    from config.logging import setup
    from worker.doctor.findings import Case

    setup("doctor", level="CRITICAL")
    stack, note = _surroundings()
    case = Case(read_settings=_settings(), stack=stack)
    if record is not None:
        if no_backend:
            fail(
                "--record keeps calls to the backend: leave --no-backend out", Exit.USAGE, as_json=as_json, code="usage"
            )
        case.recorder = _recorder(record, as_json=as_json)
    found = _examined(case, note, with_backend=not no_backend, as_json=as_json)
    if as_json:
        show_json(_document(case, note, found))
    raise typer.Exit(Exit.FAILED if case.failed else Exit.DONE)


def _settings() -> Any:
    from config.settings import settings

    return settings


def _surroundings() -> tuple[dict[str, Any], str]:
    """The notes of the running local stack, whose settings are taken over, and a sentence about it."""
    from api.cli.connection import stacks
    from api.cli.surroundings import take_over

    for directory, notes in stacks():
        try:
            pid, settings = int(notes["pid"]), dict(notes["settings"])
        except (KeyError, TypeError, ValueError):
            continue
        if not _lives(pid):
            return {}, f"The stack of {directory} has ended (process {pid} is gone): start it with `vivideo up`."
        take_over(settings, directory)
        return notes, f"The stack running in {directory} (process {pid})."
    if _names_servers():
        return {}, "No local stack runs here: looking at the servers that the settings name."
    return {}, (
        "No stack is running here: start one with `vivideo up`,"
        " or name your own servers (VIVIDEO_DATABASE_URL, VIVIDEO_BROKER_URL; docs/settings.md)."
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _names_servers() -> bool:
    from pydantic import ValidationError

    from config.settings import Servers

    try:
        return "database_url" in Servers().model_fields_set
    except ValidationError:
        return True  # which one is wrong is said next


def _recorder(directory: Path, *, as_json: bool) -> "Recorder":
    from worker.remote.record import NotEmpty, Recorder

    try:
        return Recorder(directory)
    except NotEmpty as problem:
        fail(f"{problem}: name one that is empty or not there yet", Exit.USAGE, as_json=as_json, code="usage")
    except OSError as problem:
        fail(f"{directory} cannot be made: {problem.strerror}", Exit.FAILED, as_json=as_json)


def _examined(case: "Case", note: str, *, with_backend: bool, as_json: bool) -> "list[Finding]":
    """All findings, shown while they come unless they are for a program."""
    from rich.console import Console

    from worker.doctor.examination import examine

    console = Console(soft_wrap=True, highlight=False, quiet=as_json)
    console.print(note, markup=False)
    found: list[Finding] = []
    with _spinner(console) as spinner:

        def starting(name: str) -> None:
            if spinner is not None:
                spinner.update(f"looking at {name}")

        for finding in examine(case, with_backend=with_backend, starting=starting):
            found.append(finding)
            _show(console, finding)
    if case.recorder is not None:
        case.recorder.seal()
    _show_surprises(console, case)
    _sum_up(console, case, found)
    return found


def _spinner(console: "Console") -> AbstractContextManager[Any]:
    return console.status("looking") if console.is_terminal and not console.quiet else nullcontext()


def _show(console: "Console", finding: "Finding") -> None:
    from rich.text import Text

    line = Text(f"{finding.level.value:<5}", style=STYLES[finding.level]) + Text(f"{finding.check:<10}{finding.seen}")
    console.print(line)
    if finding.remedy:
        console.print(Text(f"{'':15}→ {finding.remedy}", style="dim"))


def _show_surprises(console: "Console", case: "Case") -> None:
    if not case.surprises:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, title="Unknown to this version", title_justify="left")
    for title in ("call", "kind", "name", "such as", "times", "first seen", "last seen"):
        table.add_column(title)
    for one in case.surprises:
        times = (f"{moment:%Y-%m-%d %H:%M}Z" for moment in (one.first_seen_at, one.last_seen_at))
        row = (one.place, one.kind, one.name, one.example or "", f"{one.count:,}", *times)
        table.add_row(*map(Text, row))
    console.print()
    console.print(table)


def _sum_up(console: "Console", case: "Case", found: "list[Finding]") -> None:
    levels = [finding.level.value for finding in found]
    words = f"{levels.count('ok')} ok, {levels.count('warn')} to look at, {levels.count('fail')} failed"
    console.print(f"\n{words}", markup=False)
    if case.recorder is not None:
        kept = f"The record is in {case.recorder.directory}, without tokens, signatures, e-mail addresses and user ids."
        failed = f" Not all of it could be kept ({case.recorder.failed})." if case.recorder.failed else ""
        console.print(f"{kept}{failed} Read it, then send it to vivideo's maintainers.", markup=False)


def _document(case: "Case", note: str, found: "list[Finding]") -> dict[str, Any]:
    moments = ("first_seen_at", "last_seen_at")
    return {
        "ok": not case.failed,
        "stack": {"running": bool(case.stack), "note": note},
        "checks": [asdict(finding) for finding in found],
        "surprises": [
            asdict(one) | {name: getattr(one, name).isoformat() for name in moments} for one in case.surprises
        ],
        "record": str(case.recorder.directory) if case.recorder else None,
    }
