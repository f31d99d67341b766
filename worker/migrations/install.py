"""A database of any age made ready for this version, with the owners, keys and accounts that the settings speak of."""

from config.logging import get
from config.settings import Settings
from worker.accounts import store as accounts
from worker.database import transact
from worker.migrations import upgrade
from worker.owners import store as owners

log = get(__name__)


def install(config: Settings) -> None:
    """Migrate and install; harmless to repeat.

    Raises:
        sqlalchemy.exc.DBAPIError: the database cannot be reached, or refuses.
        worker.migrations.counter.CounterBehind: the feed of events would lose its order.
        worker.accounts.vault.SecretKeyMissing: there is a token, and no key to encrypt it with.
    """
    upgrade(config.servers.database_url)
    transact(lambda session: owners.install(session, config))
    transact(lambda session: accounts.install(session, config))
    log.info("database.ready")
