"""The finished file is fetched, probed, hashed, examined, given a poster and put into object storage.

A video that the examination flags is kept as any other, since it is paid for; where the request says so, its render
fails all the same.

Dies here: done again; the file has a temporary name until it is whole, and storing the same twice is the same. What is
stored and never named, since the render was cancelled then, is in the outbox of deletions (`worker.renders.purge`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.logging import get
from worker.database import at_once, transact
from worker.failures import BACKEND_UNAVAILABLE, RESULT_QUALITY, RESULT_UNPLAYABLE
from worker.job import Job
from worker.media.download import Downloaded, DownloadFailed, download, save
from worker.media.poster import poster
from worker.media.probe import NotPlayable, VideoFacts, probe
from worker.media.quality.report import Report
from worker.media.workspace import workspace
from worker.outcomes import Advance, Done, Failed, Fault, Outcome
from worker.remote.errors import RateLimited, RemoteError, TokenGone, TryAgain
from worker.renders import exports, leases, purge, runs
from worker.renders.models import Export, Result
from worker.renders.states import Stage
from worker.stages import examining

log = get(__name__)

MOST_FETCHES = 3
"""Rounds of both ways before the export counts as broken and a new one is made."""

LARGEST = 4 * 1024**3
"""Bytes: 60 s of 1080×1920 take 20 MB; this only keeps a broken backend from filling the disk."""


def run(job: Job) -> Outcome:
    """Fetch, check and keep the file."""
    export = at_once(lambda session: exports.current(session, job.render))
    if export is None:
        raise LookupError(f"{job.render.id} is stored but has no export")
    with workspace() as folder:
        fetched = _fetch(job, export, folder)
        if isinstance(fetched, _Trouble):
            return _broken(job, export, fetched)
        return _keep(job, *fetched, folder)


@dataclass(frozen=True)
class _Trouble:
    """Why neither way gave a video; `passing` if one of them may well give it later."""

    why: str
    passing: bool


def _fetch(job: Job, export: Export, folder: Path) -> tuple[Downloaded, VideoFacts] | _Trouble:
    """The file and its facts, from the result's address or else by the fallback call; or why neither gave a video."""
    problems: list[Exception] = []
    ways: tuple[Callable[[], Downloaded], ...] = (
        *((lambda: _by_address(export, folder),) if export.url else ()),
        lambda: _by_fallback(job, export, folder),
    )
    for way in ways:
        try:
            got = way()
            return got, probe(got.path)
        except (TokenGone, RateLimited):
            raise
        except (DownloadFailed, NotPlayable, RemoteError) as error:
            problems.append(error)
            log.info("result.refused", render=job.render.id, export=export.id, why=str(error))
    return _Trouble("; ".join(map(str, problems)), any(_passes(problem) for problem in problems))


def _passes(problem: Exception) -> bool:
    """An outage, as against a file that is broken or gone. A cut download counts as broken: it repeats."""
    if isinstance(problem, DownloadFailed):
        return problem.passing and problem.reason not in ("cut", "length", "empty")
    return isinstance(problem, TryAgain)


def _by_address(export: Export, folder: Path) -> Downloaded:
    assert export.url is not None, "the caller looked"
    return download(export.url, folder, max_bytes=LARGEST)


def _by_fallback(job: Job, export: Export, folder: Path) -> Downloaded:
    with job.remote.open_fallback_download(job.bearer(), export.id) as response:
        return save(response, folder, max_bytes=LARGEST)


def _broken(job: Job, export: Export, trouble: _Trouble) -> Outcome:
    """Neither way gave a video. An outage is waited for: the video is paid for. Otherwise again in a while, then one
    new export, then the render fails."""
    why = trouble.why
    job.second_opinion()
    if trouble.passing:
        return Fault(failure=BACKEND_UNAVAILABLE, detail=why)
    if job.render.tries + 1 < MOST_FETCHES:
        return Fault(failure=RESULT_UNPLAYABLE, detail=why)
    before = at_once(lambda session: exports.failed(session, job.render))
    also = (exports.recording(export.id, "failed", detail=why[:500]),)
    if before + 1 < exports.MOST:
        return Advance(to=Stage.EXPORT, changes={"export_id": None}, also=also)
    return Failed(failure=RESULT_UNPLAYABLE, detail=why[:500], also=also)


def _keep(job: Job, got: Downloaded, facts: VideoFacts, folder: Path) -> Outcome:
    render, storage = job.render, job.services.storage
    base = f"{render.owner_id}/{render.id}/{render.run}/{got.sha256[:16]}"
    report = examining.report(job, got.path)
    picture = poster(got.path, folder)
    keys = [f"{base}.mp4", f"{base}.jpg"]
    transact(lambda session: _foretell(session, job, keys))
    # The name carries the content's hash: writing it twice writes the same, whoever was quicker.
    storage.put_file(f"{base}.mp4", got.path)
    storage.put_file(f"{base}.jpg", picture.path)
    values = {
        "render_id": render.id,
        "run": render.run,
        "owner_id": render.owner_id,
        "storage_key": f"{base}.mp4",
        "poster_key": f"{base}.jpg",
        "sha256": got.sha256,
        "bytes": got.bytes,
        "duration_seconds": facts.duration_seconds,
        "width": facts.width,
        "height": facts.height,
        "video_codec": facts.video_codec,
        "audio_codec": facts.audio_codec,
        "pixel_format": facts.pixel_format,
        "frame_rate": facts.frame_rate,
        "quality": report.as_json() if report else None,
    }

    def keep(session: Session) -> None:
        session.execute(
            insert(Result).values(values).on_conflict_do_update(index_elements=["render_id", "run"], set_=values)
        )
        purge.name(session, keys)

    return _judged(job, report, keep)


def _judged(job: Job, report: Report | None, keep: Callable[[Session], None]) -> Outcome:
    """Succeeded, unless the request wants to hear of a flagged video as of a failure."""
    if report is None or report.verdict != "flagged" or job.render.quality_gate != "fail":
        return Done(also=(keep,))
    found = "; ".join(f"{check.check}: {check.detail}" for check in report.flagged)
    refuse = partial(runs.refuse_draft, render=job.render)
    return Failed(failure=RESULT_QUALITY, detail=found, also=(keep, refuse))


def _foretell(session: Session, job: Job, keys: list[str]) -> None:
    """Under the lease: a worker that lost it must not have the files deleted that its successor named."""
    leases.write(session, job.held)
    purge.foretell(session, keys)
