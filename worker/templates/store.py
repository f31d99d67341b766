"""Templates: made, changed by new versions, found by a reference, archived. Every query names the owner it is for."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from worker.database import new_id
from worker.templates.filling import Filler
from worker.templates.models import Template, TemplateVersion
from worker.templates.variables import Variable

PREFIX = "tpl_"
NAME = r"^[a-z0-9][a-z0-9.-]{0,63}$"
"""Without an underscore, so that none is an id."""
REFERENCE = r"^(tpl_[0-9a-z]{26}|[a-z0-9][a-z0-9.-]{0,63})(@[1-9][0-9]{0,8})?$"
"""An id or a name, and with `@3` that version, without it the newest."""
_REFERENCE = re.compile(REFERENCE)


@dataclass(frozen=True)
class Content:
    """What a version holds."""

    prompt: str
    variables: Mapping[str, Variable] = field(default_factory=dict[str, Variable])
    language: str | None = None
    tags: Sequence[str] = ()

    def check(self) -> None:
        """Raises Invalid."""
        Filler.of(self.prompt, self.variables)

    def columns(self) -> dict[str, Any]:
        """As it is kept; what is left out of a declaration stays so."""
        variables = {name: one.model_dump(mode="json", exclude_unset=True) for name, one in self.variables.items()}
        return {
            "prompt": self.prompt,
            "variables": variables,
            "language": self.language,
            "tags": list(dict.fromkeys(self.tags)),
        }


class Found(NamedTuple):
    """A template with one of its versions."""

    template: Template
    version: TemplateVersion

    @property
    def ref(self) -> str:
        """`name@3`."""
        return f"{self.template.name}@{self.version.number}"


class Unknown(Exception):
    """The owner has no such template, or it has no such version."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"you have no template {ref[:80]}")
        self.ref = ref


class Archived(Exception):
    """The template is archived: nothing new is made of it."""

    def __init__(self, template: Template) -> None:
        super().__init__(f"{template.name} ({template.id}) was archived at {template.archived_at:%Y-%m-%d %H:%M}")


class Exists(Exception):
    """The owner has a template of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"you have a template {name}")


def create(session: Session, owner_id: str, name: str, content: Content, *, template_id: str | None = None) -> Found:
    """A template and its version 1.

    Raises:
        Invalid: the content is no template.
        Exists: the name is taken, also by somebody who took it in this moment.
    """
    content.check()
    add = insert(Template).values(id=template_id or new_id("tpl"), owner_id=owner_id, name=name)
    free = add.on_conflict_do_nothing(
        index_elements=[Template.owner_id, Template.name], index_where=Template.archived_at.is_(None)
    )
    template = session.scalars(free.returning(Template)).one_or_none()
    if template is None:
        raise Exists(name)
    return Found(template, _add(session, template, 1, content))


def taken(session: Session, owner_id: str, name: str) -> bool:
    """Whether a template of the owner's that is in use has this name."""
    mine = (Template.owner_id == owner_id, Template.name == name, Template.archived_at.is_(None))
    return session.scalar(select(Template.id).where(*mine)) is not None


def new_version(session: Session, owner_id: str, ref: str, content: Content, *, version_id: str | None = None) -> Found:
    """The template's next version. Raises Invalid, Unknown, Archived."""
    content.check()
    template = _template(session, owner_id, ref, lock=True)
    if template.archived_at is not None:
        raise Archived(template)
    last = session.scalar(select(func.max(TemplateVersion.number)).where(TemplateVersion.template_id == template.id))
    return Found(template, _add(session, template, (last or 0) + 1, content, version_id))


def _add(
    session: Session, template: Template, number: int, content: Content, version_id: str | None = None
) -> TemplateVersion:
    made = TemplateVersion(
        id=version_id or new_id("tpv"),
        owner_id=template.owner_id,
        template_id=template.id,
        number=number,
        **content.columns(),
    )
    session.add(made)
    session.flush()
    session.refresh(made)
    return made


def resolve(session: Session, owner_id: str, ref: str) -> Found:
    """The version that `tpl_…`, `name`, `tpl_…@3` or `name@3` means for something new; without a number the newest.

    Raises Unknown, Archived.
    """
    found = get(session, owner_id, ref)
    if found.template.archived_at is not None:
        raise Archived(found.template)
    return found


def get(session: Session, owner_id: str, ref: str) -> Found:
    """As `resolve`, archived ones too: a name means the one that has it now, or else the last that had it.

    Raises Unknown.
    """
    if not _REFERENCE.fullmatch(ref):
        raise Unknown(ref)
    which, _, number = ref.partition("@")
    template = _template(session, owner_id, which)
    query = select(TemplateVersion).where(TemplateVersion.template_id == template.id)
    if number:
        query = query.where(TemplateVersion.number == int(number))
    version = session.scalars(query.order_by(TemplateVersion.number.desc()).limit(1)).one_or_none()
    if version is None:
        raise Unknown(ref)
    return Found(template, version)


def same(session: Session, owner_id: str, one: str, other: str) -> bool:
    """Whether two references, by id or name, of whatever versions, are of one template of the owner's."""
    which = one.partition("@")[0], other.partition("@")[0]
    try:
        first, second = (_template(session, owner_id, ref).id for ref in which)
    except Unknown:
        return which[0] == which[1]
    return first == second


def made(session: Session, owner_id: str, version_id: str) -> Found | None:
    """A version of the owner's by its own id, with its template."""
    query = select(Template, TemplateVersion).join(TemplateVersion, TemplateVersion.template_id == Template.id)
    row = session.execute(query.where(TemplateVersion.id == version_id, Template.owner_id == owner_id)).one_or_none()
    return Found(*row) if row else None


def archive(session: Session, owner_id: str, ref: str) -> Template:
    """Nothing new is made of it from now on, and its name is free; its renders keep it. Harmless to repeat.

    Raises Unknown.
    """
    template = _template(session, owner_id, ref, lock=True)
    if template.archived_at is None:
        template.archived_at = session.execute(select(func.now())).scalar_one()
        session.flush()
    return template


def page(session: Session, owner_id: str, *, limit: int, after: tuple[datetime, str] | None = None) -> Sequence[Found]:
    """Up to `limit` of the owner's templates with their newest versions, newest template first; no archived ones."""
    query = select(Template).where(Template.owner_id == owner_id, Template.archived_at.is_(None))
    if after is not None:
        query = query.where(tuple_(Template.created_at, Template.id) < tuple_(*after))
    rows = session.scalars(query.order_by(Template.created_at.desc(), Template.id.desc()).limit(limit)).all()
    newest = (
        select(TemplateVersion)
        .where(TemplateVersion.template_id.in_([row.id for row in rows]))
        .ext(distinct_on(TemplateVersion.template_id))
        .order_by(TemplateVersion.template_id, TemplateVersion.number.desc())
    )
    by_template = {version.template_id: version for version in session.scalars(newest)} if rows else {}
    return [Found(row, by_template[row.id]) for row in rows]


def versions(session: Session, template: Template, *, limit: int, before: int | None = None) -> Sequence[Found]:
    """Up to `limit` versions, newest first, those with a number below `before`."""
    query = select(TemplateVersion).where(TemplateVersion.template_id == template.id)
    if before is not None:
        query = query.where(TemplateVersion.number < before)
    rows = session.scalars(query.order_by(TemplateVersion.number.desc()).limit(limit)).all()
    return [Found(template, row) for row in rows]


def refs(session: Session, version_ids: Iterable[str]) -> dict[str, str]:
    """`name@3` by the version's id."""
    query = select(TemplateVersion.id, Template.name, TemplateVersion.number).join(Template)
    rows = session.execute(query.where(TemplateVersion.id.in_(list(version_ids))))
    return {version_id: f"{name}@{number}" for version_id, name, number in rows}


def _template(session: Session, owner_id: str, which: str, *, lock: bool = False) -> Template:
    """By id or name. Raises Unknown."""
    if not _REFERENCE.fullmatch(which):
        raise Unknown(which)
    query: Select[Template] = select(Template).where(Template.owner_id == owner_id)
    query = query.where(Template.id == which if which.startswith(PREFIX) else Template.name == which)
    # One that is in use before those that had the name, the last of these before the others.
    query = query.order_by(Template.archived_at.desc().nulls_first()).limit(1)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise Unknown(which)
    return found
