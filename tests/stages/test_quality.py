"""A finished video is examined on its way into storage; nothing about that costs a paid video."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from tests.stack import Stack
from tests.stages.driving import a_render, the, to_its_end, until_stage
from worker import pipeline
from worker.database import transact
from worker.failures import RESULT_QUALITY
from worker.job import Job
from worker.media.playing import NotPlayable
from worker.media.quality.report import Check
from worker.outcomes import Done, Failed
from worker.renders import leases, runs
from worker.renders import store as renders
from worker.renders.models import DoomedFile, Render, Result
from worker.renders.states import Stage
from worker.stages import examining, store

OTHERWISE = {"duration_seconds": 9.0}
"""What no clip of two seconds is."""


def kept(render_id: str) -> Result:
    found = transact(lambda session: renders.result(session, session.get_one(Render, render_id)))
    assert found is not None
    return found


def flagged(result: Result) -> list[str]:
    assert result.quality is not None
    return [check["check"] for check in result.quality["checks"] if check["verdict"] == "flagged"]


def next_stage(render_id: str, *, force: bool = False) -> Stage:
    return transact(lambda session: runs.first_stage(session, session.get_one(Render, render_id), force=force))


def test_where_it_is_asked_for_a_flagged_video_fails_its_render_and_is_kept(backend: Stack) -> None:
    """Stored, named, charged; and no later run pays again, or exports the same once more, unless that is asked for."""
    row = to_its_end(a_render(expect=OTHERWISE, quality_gate="fail"))
    assert (row.status, row.stage, row.error_code) == ("failed", "store", RESULT_QUALITY.code)
    assert "length: 2.0 s, asked for 9 s" in (row.error_message or "")
    assert (row.charge_state, row.charge_credits) == ("incurred", 100)
    result = kept(row.id)
    assert flagged(result) == ["length", "frozen", "silence"]
    assert pipeline.services().storage.head(result.storage_key).bytes == result.bytes
    assert transact(lambda session: session.scalars(select(DoomedFile)).all()) == []
    with pytest.raises(runs.ForceNeeded):
        next_stage(row.id)
    assert next_stage(row.id, force=True) is Stage.TOKEN
    transact(lambda s: runs.retry(s, s.get_one(Render, row.id, with_for_update=True), force=True, api_key_id=None))
    transact(lambda session: renders.cancel(session, row.owner_id, row.id))
    assert (the(row.id).run, the(row.id).status) == (2, "canceled")
    with pytest.raises(runs.ForceNeeded):  # the draft of run 1 is no way back either
        next_stage(row.id)


def breaks(error: Exception) -> Callable[..., None]:
    def examine(*_: object) -> None:
        raise error

    return examine


def test_a_video_is_delivered_unless_it_is_flagged_and_that_fails_it(
    backend: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default a flagged one is told of; the strictest gate lets through what passes and what could not be examined:
    out of time, out of memory, a bug. With the gate off nobody looks."""
    render = a_render(quality_gate="fail")
    row = until_stage(render, Stage.STORE)
    me = {"stage": Stage.STORE, "worker": pipeline.liveness.process().id}
    held = transact(lambda session: leases.claim(session, render, lease=row.lease, **me))
    assert held is not None
    job = Job(held, pipeline.services())
    assert isinstance(store.run(job), Failed)
    with monkeypatch.context() as here:
        passed = examining.Report((Check("black", "passed", "never"),))
        here.setattr(examining, "examine", lambda *_: passed)
        assert isinstance(store.run(job), Done)
        for error in (RuntimeError("a bug"), MemoryError(), OSError("disk"), NotPlayable("too_slow")):
            here.setattr(examining, "examine", breaks(error))
            outcome = store.run(job)
            assert isinstance(outcome, Done)
        transact(lambda session: [step(session) for step in outcome.also])
        assert kept(render).quality == {"verdict": "unknown", "detail": str(NotPlayable("too_slow")), "checks": []}
        here.setattr(examining, "examine", breaks(AssertionError("nobody may look")))
        held.render.quality_gate = "off"
        assert examining.report(job, backend.home) is None
    held.render.quality_gate = "report"
    pipeline.act(job, store.run(job))
    assert (the(render).status, flagged(kept(render))) == ("succeeded", ["frozen", "silence"])
    length = (kept(render).quality or {})["checks"][0]
    assert (length["verdict"], length["asked"]) == ("passed", 2.0)  # from the prompt's words


@pytest.mark.parametrize(("deaths", "looks"), [(1, True), (2, False)])
def test_a_video_that_may_kill_its_reader_is_not_looked_at(
    backend: Stack, monkeypatch: pytest.MonkeyPatch, deaths: int, looks: bool
) -> None:
    """One worker that ended is chance; from the second on the video is delivered unseen."""
    render = a_render()
    transact(lambda session: session.execute(update(Render).where(Render.id == render).values(deaths=deaths)))
    held = transact(lambda session: leases.claim(session, render, lease=0, stage=Stage.TOKEN, worker="media"))
    assert held is not None
    seen: list[object] = []
    monkeypatch.setattr(examining, "examine", lambda *given: seen.append(given) or examining.Report(why="seen"))
    report = examining.report(Job(held, pipeline.services()), backend.home)
    assert report is not None
    assert (report.verdict, bool(seen)) == ("unknown", looks)
