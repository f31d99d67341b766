"""Owners and their keys."""

import pytest
from pydantic import ValidationError

from config.settings import Settings
from tests.stack import here
from worker.database import transact
from worker.owners import store


def install(key: str) -> None:
    with here({"VIVIDEO_API_KEY": key}):
        transact(lambda session: store.install(session, Settings()))


def valid(key: str) -> bool:
    return transact(lambda session: store.key(session, key) is not None)


def test_a_key_replaced_in_the_settings_is_valid_no_longer():
    """A leaked key does not outlive its replacement; one put back is valid again."""
    install("vv_the_first_one")
    assert valid("vv_the_first_one")
    install("vv_the_second_one")
    assert (valid("vv_the_first_one"), valid("vv_the_second_one")) == (False, True)
    install("vv_the_first_one")
    assert (valid("vv_the_first_one"), valid("vv_the_second_one")) == (True, False)


def test_a_new_key_is_stored_as_its_hash_alone():
    """The text is returned once; the row has its first characters and its hash."""
    made = transact(lambda s: store.new_key(s, store.owner(s, "default").id, "shop"))
    row = transact(lambda s: store.key(s, made))
    assert row is not None
    assert made.startswith("vv_")
    assert made not in (row.hash, row.prefix, row.name)
    assert row.prefix == made[:8]


@pytest.mark.parametrize("key", ["secret", "vv_", "vv_with space", "vv_" + "x" * 198, "vv_ü1234"])
def test_a_setting_that_no_request_could_carry_is_refused(key: str):
    """Better an error at the start than a key with which every call is a 401."""
    with pytest.raises(ValidationError, match="begins with vv_"):
        install(key)
