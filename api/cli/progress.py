"""Following a render at the terminal: one live bar, or plain lines where there is no terminal."""

import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from api.client import Client, Event, RateLimited, Render, ServerFault, Unreachable

LOOK_SECONDS = 1
"""Between two looks at the render; the service answers at once when it is final."""
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


def label(render: Render) -> str:
    """Where a render stands, in words."""
    if render.status == "running":
        return STAGES.get(render.stage, render.stage)
    if render.status == "waiting":
        return REASONS.get(render.reason or "", f"waiting ({render.reason})")
    return render.status


def note(event: Event) -> str | None:
    """What an event says to a person, where it is worth a line."""
    title = NOTES.get(event.type)
    if title is None:
        return None
    said = next((event.data[name] for name in ("message", "answer", "why", "code") if event.data.get(name)), None)
    return f"{title}: {said}" if said else title


def follow(client: Client, render_id: str, *, console: Console) -> Render:
    """Show a render's progress until it is final and return it.

    Raises what `client` raises, Unreachable only after `PATIENCE_SECONDS` without an answer.
    """
    looks = _looks(client, render_id)
    return _live(looks, console) if console.is_terminal else _plain(looks, console)


def _looks(client: Client, render_id: str) -> Iterator[tuple[Render, list[str]]]:
    """The render and the notes that are new: at once, then every second, and when it is final."""
    after, silent_since, wait = 0, None, None
    while True:
        asked = time.monotonic()
        try:
            render = client.render(render_id, wait=wait)
            events = client.events(render_id, after)
            silent_since = None
        except (ServerFault, RateLimited, Unreachable):
            silent_since = silent_since or asked
            if time.monotonic() - silent_since > PATIENCE_SECONDS:
                raise
            time.sleep(max(asked + LOOK_SECONDS - time.monotonic(), 0))
            continue
        after = events[-1].number if events else after
        yield render, [said for event in events if (said := note(event))]
        if render.final:
            return
        if wait:  # whatever is on the way may not know how to wait
            time.sleep(max(asked + LOOK_SECONDS - time.monotonic(), 0))
        wait = LOOK_SECONDS


def _live(looks: Iterator[tuple[Render, list[str]]], console: Console) -> Render:
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
            for line in notes:
                bar.console.print(f"[dim]{escape(line)}[/dim]")
            bar.update(task, description=escape(label(render)), completed=render.progress)
            if render.final:
                return render
    raise AssertionError("the looks end with a final one")


def _plain(looks: Iterator[tuple[Render, list[str]]], console: Console) -> Render:
    started, said = time.monotonic(), ""
    for render, notes in looks:
        words = label(render)
        for line in (*notes, *([words] if words != said else [])):
            elapsed = time.monotonic() - started
            console.print(
                f"{elapsed:6.1f} s  {render.progress:4.0%}  {line}", markup=False, highlight=False, soft_wrap=True
            )
        said = words
        if render.final:
            return render
    raise AssertionError("the looks end with a final one")
