"""Following a render at the terminal: one live bar, or plain lines where there is no terminal."""

import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from api.client import FINAL, Client, Unreachable

LOOK_SECONDS = 0.5
"""Between two looks at the render."""
PATIENCE_SECONDS = 60.0
"""A service that does not answer for this long is gone; a restart takes a few seconds."""

STAGES = {
    "token": "getting admission",
    "session": "opening a session",
    "upload": "sending the assets",
    "generate": "generating",
    "lookup": "looking up what became of the message",
    "verify": "waiting until the draft stands still",
    "export": "asking for the export",
    "poll": "exporting",
    "store": "fetching the video",
}

REASONS = {
    "credits": "waiting for credits",
    "subscription": "waiting for a subscription that exports",
    "rate_limit": "waiting: the backend asked to slow down",
    "token": "waiting for a valid token",
    "backend": "waiting for the backend",
    "paused": "paused",
    "slot": "waiting for a free slot",
    "session": "waiting for its turn in the session",
}

NOTES = {
    "render.recovered": "a worker fell silent; another one goes on",
    "render.still_working": "still working",
    "render.hint": "hint",
    "render.answer": "answer",
    "render.fault": "a fault; trying again",
}
"""Events worth a line of their own."""


def label(render: dict[str, Any]) -> str:
    """Where a render stands, in words."""
    if render["status"] == "running":
        return STAGES.get(render["stage"], str(render["stage"]))
    if render["status"] == "waiting":
        return REASONS.get(render["reason"], f"waiting ({render['reason']})")
    return str(render["status"])


def follow(client: Client, render_id: str, *, console: Console) -> dict[str, Any]:
    """Show a render's progress until it is final and return it.

    Raises what `client` raises, Unreachable only after `PATIENCE_SECONDS` without an answer.
    """
    looks = _looks(client, render_id)
    return _live(looks, console) if console.is_terminal else _plain(looks, console)


def _looks(client: Client, render_id: str) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The render and the notes that are new, every half second until it is final."""
    after, silent_since = 0, None
    while True:
        try:
            render = client.render(render_id)
            events = client.events(render_id, after)
            silent_since = None
        except Unreachable:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > PATIENCE_SECONDS:
                raise
            continue  # the client itself paused between its tries
        after = events[-1]["number"] if events else after
        yield render, [note for event in events if (note := _note(event))]
        if render["status"] in FINAL:
            return
        time.sleep(LOOK_SECONDS)


def _note(event: dict[str, Any]) -> str | None:
    title = NOTES.get(event["type"])
    if title is None:
        return None
    said = next((event["data"][name] for name in ("message", "answer", "why", "code") if event["data"].get(name)), None)
    return f"{title}: {said}" if said else title


def _live(looks: Iterator[tuple[dict[str, Any], list[str]]], console: Console) -> dict[str, Any]:
    render: dict[str, Any] = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("queued", total=1.0)
        for render, notes in looks:
            for note in notes:
                bar.console.print(f"[dim]{escape(note)}[/dim]")
            bar.update(task, description=escape(label(render)), completed=render["progress"])
    return render


def _plain(looks: Iterator[tuple[dict[str, Any], list[str]]], console: Console) -> dict[str, Any]:
    render: dict[str, Any] = {}
    started, said = time.monotonic(), ""
    for render, notes in looks:
        words = label(render)
        for line in (*notes, *([words] if words != said else [])):
            elapsed = time.monotonic() - started
            console.print(
                f"{elapsed:6.1f} s  {render['progress']:4.0%}  {line}", markup=False, highlight=False, soft_wrap=True
            )
        said = words
    return render
