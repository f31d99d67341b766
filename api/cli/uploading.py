"""Sending a file, and fetching one, with a bar that shows how far it is."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from api.client import Client, Upload
from api.client import Progress as Told


def upload(client: Client, path: Path, idempotency_key: str | None = None) -> Upload:
    """Upload one file."""
    with _bar(path.name) as told:
        return client.upload(path, told, idempotency_key=idempotency_key)


def download(client: Client, render_id: str, path: Path) -> Path:
    """Fetch a render's video."""
    with _bar(path.name) as told:
        return client.download_video(render_id, path, told)


@contextmanager
def _bar(name: str) -> Generator[Told]:
    """A bar, on terminals only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(escape(name), total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)
