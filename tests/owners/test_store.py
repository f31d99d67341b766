"""Owners and their keys."""

from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select, update

from config.settings import Settings
from tests.stack import here
from worker.database import ago, from_now, transact
from worker.owners import store
from worker.owners.limits import Limits
from worker.owners.models import ApiKey
from worker.owners.scopes import EVERYTHING, Scope, granted

DAY = timedelta(days=1)


def install(key: str) -> None:
    with here({"VIVIDEO_API_KEY": key}):
        transact(lambda session: store.install(session, Settings()))


def valid(key: str) -> bool:
    return transact(lambda session: store.key(session, key) is not None)


def made(**options: object) -> str:
    """A key of the default owner's."""
    return transact(lambda s: store.new_key(s, store.owner(s, "default").id, "shop", **options))


def row(text: str) -> ApiKey:
    """Its row, while it is valid."""
    found = transact(lambda s: store.key(s, text))
    assert found is not None
    return found


def rotated(text: str, overlap: timedelta = DAY) -> str:
    """Its new text."""
    key_id = row(text).id
    return transact(lambda s: store.rotate(s, store.named(s, key_id)[0], overlap))


def changed(text: str, **columns: object) -> None:
    """Its row with other columns."""
    where = ApiKey.hash == store.key_hash(text)
    transact(lambda s: s.execute(update(ApiKey).where(where).values(**columns)))


def test_a_key_replaced_in_the_settings_is_valid_no_longer():
    """A leaked key does not outlive its replacement; one put back is valid again."""
    install("vv_the_first_one")
    assert valid("vv_the_first_one")
    install("vv_the_second_one")
    assert (valid("vv_the_first_one"), valid("vv_the_second_one")) == (False, True)
    install("vv_the_first_one")
    assert (valid("vv_the_first_one"), valid("vv_the_second_one")) == (True, False)


def test_a_revoked_key_does_not_come_back_with_the_settings():
    """Who puts a revoked key's text into the settings does not undo the revocation."""
    text = made()
    changed(text, revoked_at=func.now())
    install(text)
    assert not valid(text)


def test_a_new_key_is_stored_as_its_hash_alone():
    """The text is returned once; the row has its first characters and its hash."""
    text = made()
    found = row(text)
    assert text.startswith("vv_")
    assert text not in (found.hash, found.prefix, found.name)
    assert found.prefix == text[:8]


def test_a_key_keeps_what_it_was_made_with():
    """Scopes and limits as they were given; a limit that was left out is not there."""
    found = row(made(scopes=[Scope.RENDERS_READ], limits=Limits(reads_per_minute=0, renders_in_flight=3)))
    assert granted(found.scopes) == {Scope.RENDERS_READ}
    assert found.limits == {"reads_per_minute": 0, "renders_in_flight": 3}
    assert Limits.read(found.limits) == Limits(reads_per_minute=0, renders_in_flight=3)


def test_a_list_of_unknown_words_is_no_empty_list():
    """No scopes are all scopes; scopes that this version does not know are none."""
    assert granted([]) == EVERYTHING
    assert granted(["batches:write"]) == frozenset()


@pytest.mark.parametrize(("until", "works"), [(from_now(DAY), True), (ago(timedelta(seconds=1)), False)])
def test_a_key_ends_at_its_expiry(until: object, works: bool):
    """Valid before, and not a moment after."""
    assert valid(made(expires_at=until)) is works


def test_both_texts_of_a_rotated_key_work_until_the_overlap_is_over():
    """The same row, with another hash and prefix; its old text ends by the database's clock."""
    old = made()
    new = rotated(old)
    assert row(old).id == row(new).id
    assert (row(new).prefix, row(new).hash) == (new[:8], store.key_hash(new))
    changed(new, previous_expires_at=ago(timedelta(seconds=1)))
    assert (valid(old), valid(new)) == (False, True)


def test_without_overlap_the_old_text_ends_at_once():
    """For a key that leaked."""
    old = made()
    new = rotated(old, timedelta(0))
    assert (valid(old), valid(new)) == (False, True)


def test_a_second_rotation_ends_the_first_overlap():
    """At most two texts of a key work at any time."""
    first = made()
    second = rotated(first)
    third = rotated(second)
    assert [valid(one) for one in (first, second, third)] == [False, True, True]


def test_revoking_ends_every_text():
    """The one before a rotation too; what is revoked or expired is not rotated back into life."""
    old = made()
    new = rotated(old)
    key_id = row(new).id
    transact(lambda s: store.revoke(s, store.named(s, key_id)[0]))
    assert (valid(old), valid(new)) == (False, False)
    with pytest.raises(store.NoLongerValid):
        transact(lambda s: store.rotate(s, store.named(s, key_id)[0], DAY))
    late = made()
    late_id = row(late).id
    changed(late, expires_at=ago(timedelta(seconds=1)))
    with pytest.raises(store.NoLongerValid):
        transact(lambda s: store.rotate(s, store.named(s, late_id)[0], DAY))


def test_the_settings_key_is_changed_in_the_settings_alone():
    """A key ended here would be back at the next start."""
    install("vv_of_the_settings")
    key_id = row("vv_of_the_settings").id
    with pytest.raises(store.FromSettings):
        transact(lambda s: store.revoke(s, store.named(s, key_id)[0]))
    with pytest.raises(store.FromSettings):
        transact(lambda s: store.rotate(s, store.named(s, key_id)[0], DAY))
    assert valid("vv_of_the_settings")


def test_a_prefix_can_be_that_of_several():
    """Found by id alone then; half a prefix finds nothing."""
    ids = {row(text).id for text in (made(), made())}
    transact(lambda s: s.execute(update(ApiKey).where(ApiKey.id.in_(ids)).values(prefix="vv_twins")))
    assert {key.id for key in transact(lambda s: store.named(s, "vv_twins"))} == ids
    assert transact(lambda s: store.named(s, "vv_twin")) == []
    one = ids.pop()
    assert [key.id for key in transact(lambda s: store.named(s, one))] == [one]


def test_the_list_has_every_key_with_its_owner():
    """Revoked ones too: who looks for a leak wants to see them."""
    text = made()
    changed(text, revoked_at=func.now())
    listed = transact(lambda s: [(key.hash, owner) for key, owner in store.keys(s)])
    assert (store.key_hash(text), "default") in listed
    assert len(listed) == transact(lambda s: s.scalar(select(func.count()).select_from(ApiKey)))


@pytest.mark.parametrize("key", ["secret", "vv_", "vv_with space", "vv_" + "x" * 198, "vv_ü1234"])
def test_a_setting_that_no_request_could_carry_is_refused(key: str):
    """Better an error at the start than a key with which every call is a 401."""
    with pytest.raises(ValidationError, match="begins with vv_"):
        install(key)
