"""Renders and their events in words."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from api.cli.balances import amount
from api.cli.progress import label, note
from api.cli.rows import Cell, fields, table, when
from api.client import Charge, Check, DryRun, Event, Render, RenderError, Result, Run, Session, SessionState

COLOURS = {"succeeded": "green", "failed": "red", "expired": "red", "canceled": "yellow", "waiting": "yellow"}


def show_renders(console: Console, renders: Sequence[Render]) -> None:
    """A table, newest first, or how to get a first row."""
    if not renders:
        console.print('No renders here. Make one:  vivideo render "a 10-second video about the sea"')
        return
    rows = [
        (one.id, one.external_ref or "", _state(one), f"{one.progress:.0%}", when(one.created_at)) for one in renders
    ]
    table(console, ("id", "reference", "state", "progress", "created"), rows)


def show_render(console: Console, render: Render, file: Path | None = None) -> None:
    """Everything a person asks about one render."""
    named: list[tuple[str, Cell | None]] = [
        ("id", render.id),
        ("state", _state(render)),
        ("progress", f"{render.progress:.0%}"),
        ("expected", when(render.eta)),
        ("reference", render.external_ref),
        ("revision", None if render.revision is None else str(render.revision)),
        ("tags", ", ".join(render.tags)),
        ("prompt", render.prompt),
        *(("asset", asset.name or asset.url) for asset in render.assets),
        ("answer", render.answer),
        ("timeline", render.timeline),
        ("video", _facts(render.result) if render.result else None),
        *(("quality", line) for line in _quality(render)),
        ("file", str(file) if file else None),
        ("charge", _charge(render.charge)),
        ("cancelling", render.cancel_effect),
        ("error", _error(render.error)),
        *(("hint", hint.message) for hint in render.hints),
        *((f"run {run.run}", _run(run)) for run in render.runs),
        ("created", when(render.created_at)),
        ("finished", when(render.finished_at)),
        ("again", f"vivideo render retry {render.id}" if "retry" in render.links else None),
    ]
    fields(console, named)


def show_outcome(console: Console, render: Render, file: Path | None) -> None:
    """What came of a render: the file, or the error with its remedy."""
    if file and render.result:
        console.print(Text(str(file), style="green") + Text(f"  {_facts(render.result)}"))
        _show_flagged(console, render)
        return
    console.print(_state(render, f"{render.id} ") + Text(f"  {_error(render.error) or render.cancel_effect or ''}"))
    _show_flagged(console, render)
    if render.result:
        console.print(Text(f"The video:  vivideo render get {render.id} -o {render.id}.mp4"))
    if "retry" in render.links:
        paid = " --force" if render.result else ""
        console.print(Text(f"Once more:  vivideo render retry {render.id}{paid}"))


def show_sessions(console: Console, sessions: Sequence[Session]) -> None:
    """A table, newest first, or how to get a first row."""
    if not sessions:
        console.print('No sessions here. Begin one:  vivideo session start "a 10-second video about the sea"')
        return
    rows = [(one.id, one.name or "", one.status, str(one.renders), when(one.created_at)) for one in sessions]
    table(console, ("id", "name", "status", "renders", "created"), rows)


def show_session_state(console: Console, state: SessionState) -> None:
    """The timeline, what changed last, what is under way."""
    turn = state.turn
    fields(
        console,
        [
            ("timeline", state.timeline.summary if state.timeline else "none yet"),
            ("of", state.drafted_by),
            *(("changed", change.text) for change in state.changes),
            ("under way", f"{turn.render} ({turn.status}, {turn.stage})" if turn else None),
            *(("file", asset.name or asset.url) for asset in state.pending),
            ("editor", state.remote.link),
        ],
    )


def show_event(console: Console, event: Event) -> None:
    """One line."""
    said = note(event) or ", ".join(f"{name} {value}" for name, value in event.data.items() if value is not None)
    console.print(f"{event.number:>4}  {when(event.at)}  {event.type:<22} {said}".rstrip(), markup=False)


def show_dry_run(console: Console, found: DryRun, files: Sequence[Path]) -> None:
    """What would be asked for, and what it would come to."""
    seconds = found.estimate.seconds
    fields(
        console,
        [
            ("valid", "yes: nothing was sent to the backend, nothing was charged"),
            ("prompt", found.render.prompt),
            ("language", found.render.language),
            *(("asset", asset.name or asset.url) for asset in found.render.assets),
            *(("file", f"{file} (not sent; its format is checked when it is)") for file in files),
            ("credits", f"about {amount(found.estimate.credits)}"),
            ("time", f"about {seconds:.0f} s" if seconds is not None else None),
            *(("hint", hint.message) for hint in found.hints),
        ],
    )


def _state(render: Render, before: str = "") -> Text:
    return Text(before + label(render), style=COLOURS.get(render.status, ""))


def _facts(result: Result) -> str:
    return f"{result.width}×{result.height}, {result.duration:.1f} s, {result.bytes / 1e6:.1f} MB"


def _show_flagged(console: Console, render: Render) -> None:
    quality = render.result.quality if render.result else None
    for check in quality.flagged if quality else ():
        console.print(Text(f"  look at it: {_check(check)}", style="yellow"))


def _quality(render: Render) -> list[str]:
    """The verdict, or what was flagged, a line each."""
    quality = render.result.quality if render.result else None
    if quality is None:
        return []
    flagged = [_check(check) for check in quality.flagged]
    return flagged or [f"{quality.verdict}: {quality.detail}" if quality.detail else quality.verdict]


def _check(check: Check) -> str:
    return f"{check.check.replace('_', ' ')}: {check.detail}"


def _charge(charge: Charge) -> str:
    known = f"{amount(charge.credits)} credits" if charge.credits is not None else charge.state
    return f"{known}, and some that nobody can know" if charge.state == "unknown" and charge.credits else known


def _run(run: Run) -> str:
    return f"{run.status}  {_error(run.error) or run.cancel_effect or ''}  charge: {_charge(run.charge)}"


def _error(error: RenderError | None) -> str | None:
    if error is None:
        return None
    remedy = f" → {error.help}" if error.help else ""
    return f"{error.message or ''}{remedy} [{error.code}]"
