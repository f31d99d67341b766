"""Seeing things as the processes of a local stack do: its settings, and its secrets where they lie."""

import os
from pathlib import Path
from typing import Any

from api.cli.connection import stacks


def take_over(settings: dict[str, Any], directory: Path) -> None:
    """Set a stack's settings in this process. What the caller set comes first, and a secret is read where it lies."""
    secret = directory / "secret-key"
    if secret.is_file():
        settings = {**settings, "VIVIDEO_SECRET_KEY": secret.read_text().strip()}
    for name, value in settings.items():
        os.environ.setdefault(name, str(value))


def take_over_the_stack_meant() -> None:
    """Those of the nearest stack, unless the caller names a database or another service: then nothing is taken over."""
    from config.settings import Servers

    if "database_url" in Servers().model_fields_set:
        return None
    meant = os.environ.get("VIVIDEO_URL", "").rstrip("/")
    for directory, notes in stacks():
        try:
            if meant in ("", str(notes["api"]["url"]).rstrip("/")):
                return take_over(dict(notes["settings"]), directory)
        except (KeyError, TypeError, ValueError):
            continue
    return None
