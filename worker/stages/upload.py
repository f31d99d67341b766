"""The assets go into the session, one call each, marked before it and ticked off after it.

Dies here, or hears no answer: the session's state shows which of those begun arrived; the others are sent.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from worker.failures import ASSET_GONE
from worker.job import Job
from worker.media.storage import NotStored
from worker.outcomes import Advance, Failed, Outcome
from worker.renders.models import Render
from worker.renders.states import Stage

CHUNK = 256 * 1024


def run(job: Job) -> Outcome:
    """Send what the session does not have yet."""
    job.may_begin()
    assets: list[dict[str, Any]] = [dict(asset) for asset in job.render.assets]
    if any(_may_have_arrived(asset) for asset in assets):
        _tick_off_what_arrived(job, assets)
    for place, asset in enumerate(assets):
        if asset.get("sent"):
            continue
        if not asset.get("begun"):
            asset["begun"] = True
            job.checkpoint({"assets": assets})
        try:
            _send(job, place, asset)
        except NotStored:
            return Failed(failure=ASSET_GONE, detail=f"asset {place + 1} ({asset.get('name')}) is not in storage")
        asset["sent"] = True
        job.checkpoint({"assets": assets})
    return Advance(to=Stage.GENERATE)


def _may_have_arrived(asset: dict[str, Any]) -> bool:
    """Begun and not ticked off. The mark is the asset's own: a wait for another reason ends the count of faults and the
    takeover that would tell of it."""
    return bool(asset.get("begun")) and not asset.get("sent")


def sent_name(render: Render, place: int, asset: dict[str, Any]) -> str:
    """The name a file carries in its session: its place makes it unique there and recognisable afterwards. Where other
    renders' files may be there too, the end of the render's id tells them apart."""
    whose = "" if render.session_id is None else f"{render.id[-6:]}_"
    return f"{whose}{place + 1:02d}_{PurePosixPath(asset['name']).name}"


def _send(job: Job, place: int, asset: dict[str, Any]) -> None:
    if "url" in asset:
        job.remote.upload_urls(job.bearer(), job.session_id(), [asset["url"]])
        return
    job.remote.upload_file(
        job.bearer(),
        job.session_id(),
        filename=sent_name(job.render, place, asset),
        media_type=asset["media_type"],
        content=_content(job, asset),
        size=asset["bytes"],
    )


def _content(job: Job, asset: dict[str, Any]) -> Iterator[bytes]:
    return iter(job.services.storage.read(asset["storage_key"], 0, asset["bytes"]))


def _tick_off_what_arrived(job: Job, assets: list[dict[str, Any]]) -> None:
    """Match the session's files by the name given to them; those fetched by address by their address or its last part,
    each file once."""
    names = [file.filename for file in job.remote.state(job.bearer(), job.session_id()).files]
    for place, asset in enumerate(assets):
        wanted = {sent_name(job.render, place, asset)} if "name" in asset else {asset["url"], _last_part(asset["url"])}
        found = next((name for name in names if name in wanted), None)
        if found is not None:
            names.remove(found)
            asset["sent"] = True


def _last_part(url: str) -> str:
    return PurePosixPath(urlsplit(url).path).name
