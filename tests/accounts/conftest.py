"""The same database and helpers as the renders' tests; accounts emptied as well."""

import pytest
from sqlalchemy import text

from tests.renders.conftest import _empty, _settings  # noqa: F401 - fixtures, used by their names
from worker.database import transact


@pytest.fixture(autouse=True)
def _no_accounts(_empty: None) -> None:  # noqa: F811 - the fixture of that name
    transact(lambda session: session.execute(text("TRUNCATE accounts CASCADE")))
