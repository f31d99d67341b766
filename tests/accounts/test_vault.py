"""What the database may hold of secrets."""

from collections.abc import Iterator

import pytest

from tests.stack import here
from worker.accounts import vault


@pytest.fixture
def _key() -> Iterator[None]:
    with here({"VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


@pytest.mark.usefixtures("_key")
def test_what_is_sealed_is_told_again_and_by_nobody_else():
    """The same text has the same seal; with another installation's key it has another."""
    mine = vault.seal("12345678")
    assert mine == vault.seal("12345678") != vault.seal("12345679")
    assert len(mine) == 64
    with here({"VIVIDEO_SECRET_KEY": "l" * 40}):
        assert vault.seal("12345678") != mine
    with here({"VIVIDEO_SECRET_KEY": "short"}), pytest.raises(vault.SecretKeyMissing):
        vault.seal("12345678")
