"""Uploads: files sent ahead, for any number of renders."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from .answers import Model
from .connection import Connection
from .errors import UPLOAD_BYTES, TooLarge
from .wire import Progress, at, file_body, file_name


class Upload(Model):
    """A stored file; `expires_at` is None once a render uses it."""

    id: str
    name: str
    media_type: str
    bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None


Asset = str | Upload | Mapping[str, str]
"""An address (`https://…`), an upload or its id (`upl_…`), or the JSON for either."""


UPLOAD_TIMEOUT = httpx.Timeout(120, connect=5, pool=60)
"""After its last byte a large file is hashed and put into object storage."""


class Uploads(Connection):
    """Calls about uploads."""

    def upload(
        self, path: Path | str, on_progress: Progress | None = None, *, idempotency_key: str | None = None
    ) -> Upload:
        """Send a file, streamed; what comes back can be one of `assets`.

        Raises TooLarge before anything is sent; OSError when the file cannot be read.
        """
        path = Path(path)
        if (size := path.stat().st_size) > UPLOAD_BYTES:
            raise TooLarge(path, size)
        return self._ask(
            Upload,
            "POST",
            at("uploads"),
            params={"name": file_name(path)},
            idempotency_key=idempotency_key,
            timeout=UPLOAD_TIMEOUT,
            **file_body(path, on_progress=on_progress),
        )

    def upload_facts(self, upload_id: str) -> Upload:
        """An upload, as it stands."""
        return self._ask(Upload, "GET", at("uploads", upload_id))

    def delete_upload(self, upload_id: str) -> None:
        """Throw an upload away. Raises Conflict where a render uses it."""
        self._send("DELETE", at("uploads", upload_id))


def asked(fields: Mapping[str, Any], **words: str | None) -> dict[str, Any]:
    """A request as JSON has it: its words, as far as there are any, and its fields with their assets."""
    made = {**fields, **{name: text for name, text in words.items() if text is not None}}
    if isinstance(made.get("assets"), Sequence) and not isinstance(made["assets"], str):
        made["assets"] = [asset_body(asset) for asset in made["assets"]]
    return made


def asset_body(asset: Asset) -> Mapping[str, str]:
    """An asset as JSON has it."""
    if isinstance(asset, Upload):
        return {"upload": asset.id}
    if isinstance(asset, str):
        return {"upload" if asset.startswith("upl_") else "url": asset}
    return asset
