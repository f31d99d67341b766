"""`python -m worker.migrations`: bring the database up to date, install owners, keys and accounts from the settings."""

from config.logging import get, setup
from config.settings import settings
from worker.accounts import store as accounts
from worker.database import transact
from worker.migrations import upgrade
from worker.owners import store as owners

if __name__ == "__main__":
    setup("migrations")
    config = settings()
    upgrade(config.servers.database_url)
    transact(lambda session: owners.install(session, config))
    transact(lambda session: accounts.install(session, config))
    get(__name__).info("database.ready")
