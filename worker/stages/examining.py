"""A finished video is examined on its way into storage. Whatever goes wrong with that, the video is delivered."""

from pathlib import Path

from config.logging import get
from worker.job import Job
from worker.media.playing import NotPlayable
from worker.media.quality import words
from worker.media.quality.asked import Asked
from worker.media.quality.examine import examine
from worker.media.quality.report import Report
from worker.metrics.declared import VIDEOS_EXAMINED

log = get(__name__)

MOST_DEATHS = 2
"""Workers that ended while they had the render, before it is no longer examined: looking at the video may be what ends
them, and it is paid for."""


def report(job: Job, path: Path) -> Report | None:
    """What examining the video came to; None where the request wants none. Raises nothing."""
    if job.render.quality_gate == "off":
        return None
    found = _examined(job, path)
    VIDEOS_EXAMINED.labels(found.verdict).inc()
    if found.verdict == "flagged":
        log.info("quality.flagged", render=job.render.id, checks=[check.check for check in found.flagged])
    return found


def _examined(job: Job, path: Path) -> Report:
    if job.render.deaths >= MOST_DEATHS:
        log.warning("quality.unknown", render=job.render.id, why="deaths")
        return Report(why="not examined: workers ended while they had the video")
    try:
        return examine(path, _asked(job))
    except NotPlayable as problem:
        log.warning("quality.unknown", render=job.render.id, why=str(problem))
        return Report(why=str(problem))
    except Exception:
        log.exception("quality.unknown", render=job.render.id)
        return Report(why="the examination broke off with a fault of this service")


def _asked(job: Job) -> Asked:
    """As the request gave it, or else as its prompt says."""
    kept = job.render.expect
    return Asked.from_json(kept) if kept is not None else words.read(job.render.prompt)
