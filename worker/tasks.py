"""The Celery tasks: thin, one a stage, plus the cancellation and the housekeeping."""

from worker import housekeeping, liveness, pipeline, watching
from worker.app import TASK_OF, app, send_deliver, send_read
from worker.catalogs import reading
from worker.renders.states import Stage
from worker.webhooks import sending


def _stage_task(stage: Stage) -> None:
    @app.task(name=TASK_OF[stage])
    def run(render_id: str, lease: int) -> None:  # pyright: ignore[reportUnusedFunction] - registered by its decorator
        pipeline.drive(render_id, lease, stage)


for _stage in pipeline.STAGES:
    _stage_task(_stage)


@app.task(name=TASK_OF[Stage.POLL])
def poll() -> None:
    """Claim the exports that are due and ask after them."""
    pipeline.drive_polls()


@app.task(name="cancel")
def cancel(render_id: str) -> None:
    """End a render that was asked to be cancelled."""
    pipeline.drive_cancel(render_id)


@app.task(name="watch")
def watch() -> None:
    """Read on the sessions of messages that nobody could know about when their run ended."""
    watching.run(pipeline.services().remote)


@app.task(name="read_catalog")
def read_catalog(read_id: str, lease: int) -> None:
    """Read a catalog that is due."""
    me = liveness.process()
    if me.draining:
        send_read(read_id, lease)
    else:
        reading.drive(read_id, lease, worker=me.id, tools=reading.Tools(pipeline.services().storage))


@app.task(name="deliver")
def deliver(delivery_id: str, lease: int) -> None:
    """Send a webhook, and the next ones of its endpoint."""
    me = liveness.process()
    if me.draining:
        send_deliver(delivery_id, lease)
    else:
        sending.deliver(delivery_id, lease, tools=sending.Tools(goes_on=lambda: not me.draining))


@app.task(name="housekeeping")
def sweep() -> None:
    """Read balances, forget what is old. Running it twice does no harm."""
    housekeeping.run()
