"""Where a browser finds a render, and the browser."""

import os
import webbrowser
from pathlib import Path

from api.cli.uploading import download
from api.client import Client, Render

SCREENS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
"""Without any of them only browsers in the terminal are left, which show no video."""


def address(client: Client, render: Render, file: Path) -> str | None:
    """The video's address, or that of its page at the backend; the video is downloaded to `file` where a browser could
    not fetch it by itself."""
    if render.result is None:
        return render.remote.link
    found = client.video_address(render.id)
    return found or download(client, render.id, file).absolute().as_uri()


def opened(address: str) -> bool:
    """Whether a browser took it."""
    try:
        return any(os.environ.get(name) for name in SCREENS) and webbrowser.open(address)
    except webbrowser.Error:
        return False
