"""The intake: validates and commits, nothing else. It takes renders while the broker is down, and starts while the
database is."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api import handlers
from api.database import transact
from api.envelope import Envelope
from api.feed import Feed
from api.openapi import Documented
from api.routes import (
    batches,
    catalogs,
    events,
    files,
    health,
    metrics,
    operations,
    pages,
    publishers,
    renders,
    sessions,
    templates,
    triggers,
    uploads,
    webhooks,
)
from api.uploads.receive import sweep
from config import logging
from config.settings import settings
from worker.database import engine
from worker.owners import store as owners
from worker.remote import language

log = logging.get(__name__)

INSTALL_AGAIN_SECONDS = 1.0

DESCRIPTION = (
    "Many AI videos, in the background: nothing accepted is lost, nothing is charged twice. "
    "Send `Authorization: Bearer vv_…` with every call, and an `Idempotency-Key` with every POST."
)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    logging.setup("api")
    app.state.feed = Feed()
    app.state.feed.start()
    await run_in_threadpool(sweep)
    await run_in_threadpool(language.detect, "warming the model up, or the first caller waits for it")
    installing = asyncio.create_task(_install())
    try:
        yield
    finally:
        installing.cancel()
        with suppress(asyncio.CancelledError):
            await installing
        app.state.feed.stop()
        engine().dispose()


async def _install() -> None:
    """Make the first owners and the configured key, as soon as there is a database to make them in."""
    while True:
        try:
            await run_in_threadpool(lambda: transact(lambda session: owners.install(session, settings()), retry_for=0))
            return
        except (DBAPIError, SQLAlchemyError) as error:
            # Away, or not migrated yet: both pass.
            log.warning("owners.not_installed", error=type(error).__name__)
            await asyncio.sleep(INSTALL_AGAIN_SECONDS)


def create() -> FastAPI:
    """The application."""
    made = Documented(
        title="vivideo",
        version=version("vivideo"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        # A redirect would turn some clients' POST into a GET.
        redirect_slashes=False,
        generate_unique_id_function=lambda route: f"{(route.tags or ['page'])[0]}_{route.name}",
    )
    handlers.install(made)
    for resource in (
        renders,
        sessions,
        batches,
        templates,
        catalogs,
        triggers,
        webhooks,
        publishers,
        events,
        files,
        uploads,
        operations,
        health,
        metrics,
        pages,
    ):
        made.include_router(resource.router)
    made.add_middleware(Envelope)
    return made


app = create()
