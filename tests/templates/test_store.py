"""Templates on a real database: versions that stay, references, names, owners."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from worker.database import transact
from worker.owners.store import owner
from worker.templates import store
from worker.templates.errors import Invalid
from worker.templates.filling import filler
from worker.templates.models import TemplateVersion
from worker.templates.store import Archived, Content, Exists, Found, Unknown
from worker.templates.variables import Variable

pytestmark = pytest.mark.usefixtures("empty")
MUG = Content("a {{ what }}", {"what": Variable(default="mug", max_length=9)}, "en", ["a", "b", "a"])


def made(name: str = "promo", content: Content = MUG, whose: str = "default") -> Found:
    """A template."""
    return transact(lambda s: store.create(s, owner(s, whose).id, name, content))


def changed(ref: str, prompt: str, whose: str = "default") -> Found:
    """Its next version."""
    return transact(lambda s: store.new_version(s, owner(s, whose).id, ref, Content(prompt)))


def resolved(ref: str, whose: str = "default") -> tuple[int, str]:
    """Number and text of what a reference means."""
    found = transact(lambda s: store.resolve(s, owner(s, whose).id, ref))
    return found.version.number, found.version.prompt


def archived(ref: str, whose: str = "default") -> None:
    """Put away."""
    transact(lambda s: store.archive(s, owner(s, whose).id, ref))


def test_a_version_keeps_what_it_was_made_with():
    """Text, declarations as they were written, language, tags once each."""
    found = made()
    assert (found.ref, found.version.prompt, found.version.language) == ("promo@1", "a {{ what }}", "en")
    assert found.version.variables == {"what": {"default": "mug", "max_length": 9}}
    assert found.version.tags == ["a", "b"]
    assert filler(found.version).fill({}) == "a mug"


def test_references_mean_the_newest_or_the_one_they_name():
    """By name and by id; a version that is not there is unknown, not the newest."""
    one = made()
    assert changed("promo", "second").ref == "promo@2"
    assert changed(one.template.id, "third").ref == "promo@3"
    for which in ("promo", one.template.id):
        assert resolved(which) == (3, "third")
        assert resolved(f"{which}@1") == (1, "a {{ what }}")
        for wrong in ("@4", "@0", "@", "@1@1", "@99999999999", "@-1", " ", "\n", "\0"):
            with pytest.raises(Unknown):
                resolved(which + wrong)


def test_a_version_cannot_be_changed(database: str):
    """The database itself refuses, whoever asks; a filling that is kept in memory relies on it."""
    version = made().version
    with pytest.raises(DBAPIError, match="never changes"):
        transact(lambda s: s.execute(update(TemplateVersion).values(prompt="other")))
    with psycopg.connect(database) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("UPDATE template_versions SET number = 7 WHERE id = %s", [version.id])
    assert resolved("promo") == (1, "a {{ what }}")


def test_a_text_that_is_no_template_is_not_kept():
    """Neither as a template nor as a version; what was there stays the newest."""
    with pytest.raises(Invalid):
        made(content=Content("{{ what }}"))
    made()
    with pytest.raises(Invalid):
        changed("promo", "{{ what }}")
    assert resolved("promo")[0] == 1


def test_a_name_is_one_template_of_an_owner():
    """Another owner's of that name is another; neither sees, changes or archives the other's."""
    mine, theirs = made(), made(content=Content("theirs"), whose="demo")
    with pytest.raises(Exists):
        made()
    assert resolved("promo", "demo") == (1, "theirs")
    for ref in (theirs.template.id, f"{theirs.template.id}@1"):
        with pytest.raises(Unknown):
            resolved(ref)
    with pytest.raises(Unknown):
        changed(theirs.template.id, "mine now")
    with pytest.raises(Unknown):
        archived(theirs.template.id)
    archived(mine.template.id)
    assert resolved("promo", "demo") == (1, "theirs")


def test_an_archived_template_is_kept_and_its_name_is_free():
    """Nothing new is made of it; it is found by its id, and by its name while no other has that."""
    old = made()
    archived("promo")
    archived("promo")
    for ref in ("promo", old.template.id, "promo@1"):
        with pytest.raises(Archived):
            resolved(ref)
    with pytest.raises(Archived):
        changed("promo", "more")
    assert transact(lambda s: store.get(s, owner(s, "default").id, "promo")).template.id == old.template.id
    new = made(content=Content("new"))
    assert resolved("promo") == (1, "new")
    assert transact(lambda s: store.get(s, owner(s, "default").id, old.template.id)).ref == "promo@1"
    assert [one.template.id for one in transact(lambda s: store.page(s, owner(s, "default").id, limit=9))] == [
        new.template.id
    ]


def test_simultaneous_versions_are_numbered_one_after_the_other():
    """No number twice and none left out, whoever comes first."""
    made()
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda place: changed("promo", f"text {place}").version.number, range(16)))
    assert sorted(numbers) == list(range(2, 18))


def test_simultaneous_templates_of_a_name_are_one():
    """One is made; the others are told."""
    transact(lambda s: owner(s, "default"))

    def attempt(_: int) -> bool:
        try:
            return bool(made())
        except Exists:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_pages_hold_each_template_once_with_its_newest_version():
    """Newest template first, whatever was changed last."""
    ids = [made(f"t{place}").template.id for place in range(5)]
    changed("t0", "changed")
    seen = page = _page(None)
    while page:
        page = _page(page[-1])
        seen = [*seen, *page]
    assert [one.template.id for one in seen] == ids[::-1]
    assert [one.version.number for one in seen] == [1, 1, 1, 1, 2]


def _page(last: Found | None) -> Sequence[Found]:
    after = (last.template.created_at, last.template.id) if last else None
    return transact(lambda s: store.page(s, owner(s, "default").id, limit=2, after=after))
