"""Sending a file with a bar that shows how far it is."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from api.client import Client


def upload(client: Client, path: Path) -> dict[str, Any]:
    """Upload one file; the bar is shown on terminals only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(escape(path.name), total=path.stat().st_size)
        return client.upload(path, lambda done, _: bar.update(task, completed=done))
