"""Templates: prompts with variables, in versions that never change."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from .answers import Hint, Model, Page
from .connection import Connection
from .wire import at


class TemplateVariable(Model):
    """What a template is filled with; `max_length` in characters of a text, or items of a list."""

    type: str
    required: bool = True
    default: Any = None
    description: str = ""
    max_length: int | None = None


class TemplateContent(Model):
    """What a version of a template holds."""

    prompt: str
    variables: dict[str, TemplateVariable] = {}
    language: str | None = None
    tags: list[str] = []


class TemplateVersion(TemplateContent):
    """A version, which never changes; `template` is what means it: `name@3`."""

    template: str
    number: int
    created_at: datetime


class Template(Model):
    """A template with its newest version."""

    id: str
    name: str
    version: TemplateVersion
    created_at: datetime
    archived_at: datetime | None = None
    links: dict[str, str] = {}


class TemplateDryRun(Model):
    """A template that would be taken; nothing was kept of it."""

    valid: bool
    name: str
    content: TemplateContent
    hints: list[Hint] = []


class Preview(Model):
    """The prompt of a template with some variables."""

    template: str
    prompt: str
    language: str
    hints: list[Hint] = []


class TemplateFields(TypedDict, total=False):
    """What a template's version may hold beside its prompt."""

    variables: Mapping[str, Mapping[str, Any]]
    """By name: `{"type": "text", "required": …, "default": …, "description": …, "max_length": …}`."""
    language: str | None
    """Of the renders that name none."""
    tags: Sequence[str]
    """Of the renders that name none."""


class Templates(Connection):
    """Calls about templates."""

    def create_template(
        self, name: str, prompt: str, *, idempotency_key: str | None = None, **fields: Unpack[TemplateFields]
    ) -> Template:
        """Make a template and its version 1. Raises Conflict where one of yours has the name, Invalid with the line."""
        body = {"name": name, "prompt": prompt, **fields}
        return self._ask(Template, "POST", at("templates"), body=body, idempotency_key=idempotency_key)

    def check_template(self, name: str, prompt: str, **fields: Unpack[TemplateFields]) -> TemplateDryRun:
        """The template as it would be made; nothing is kept."""
        body = {"name": name, "prompt": prompt, **fields}
        return self._rehearse(TemplateDryRun, at("templates"), body=body)

    def update_template(
        self, template: str, prompt: str, *, idempotency_key: str | None = None, **fields: Unpack[TemplateFields]
    ) -> TemplateVersion:
        """Make a template's next version, whole: what is left out is empty in it. By id or name."""
        path, body = at("templates", template, "versions"), {"prompt": prompt, **fields}
        return self._ask(TemplateVersion, "POST", path, body=body, idempotency_key=idempotency_key)

    def template(self, template: str) -> Template:
        """A template with its newest version, by id or name."""
        return self._ask(Template, "GET", at("templates", template))

    def templates(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Template]:
        """One page (50, at most 200), newest first, without archived ones."""
        return self._list(Page[Template], at("templates"), limit=limit, cursor=cursor)

    def template_version(self, template: str, number: int) -> TemplateVersion:
        """One version of a template."""
        return self._ask(TemplateVersion, "GET", at("templates", template, "versions", str(number)))

    def template_versions(
        self, template: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[TemplateVersion]:
        """One page of a template's versions, newest first."""
        return self._list(Page[TemplateVersion], at("templates", template, "versions"), limit=limit, cursor=cursor)

    def preview_template(self, template: str, variables: Mapping[str, Any], *, version: int | None = None) -> Preview:
        """The prompt with these variables; nothing is kept or charged. Raises Invalid `template.variables`."""
        body = {"variables": variables, "version": version}
        return self._ask(Preview, "POST", at("templates", template, "preview"), body=body)

    def archive_template(self, template: str) -> None:
        """Have nothing new made of a template; its name is free then, and its renders keep it."""
        self._send("DELETE", at("templates", template))
