"""From templates to answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.bodies import TemplateBody, TemplateContentBody, TemplateVersionBody, VariableBody
from worker.templates.store import Content, Found
from worker.templates.variables import Variable, declared


def template_body(found: Found) -> TemplateBody:
    """The answer for a template with its newest version."""
    template = found.template
    at = f"/v1/templates/{template.id}"
    return TemplateBody(
        id=template.id,
        name=template.name,
        version=version_body(found),
        created_at=template.created_at,
        archived_at=template.archived_at,
        links={"self": at, "versions": f"{at}/versions", "preview": f"{at}/preview"},
    )


def version_body(found: Found) -> TemplateVersionBody:
    """The answer for one version."""
    row = found.version
    return TemplateVersionBody(
        template=found.ref,
        number=row.number,
        created_at=row.created_at,
        **_content(row.prompt, declared(row.variables), row.language, row.tags),
    )


def content_body(content: Content) -> TemplateContentBody:
    """The answer for what is not kept yet."""
    return TemplateContentBody(**_content(content.prompt, content.variables, content.language, content.tags))


def _content(
    prompt: str, variables: Mapping[str, Variable], language: str | None, tags: Sequence[str]
) -> dict[str, Any]:
    shown = {name: _variable(one) for name, one in variables.items()}
    return {"prompt": prompt, "variables": shown, "language": language, "tags": list(dict.fromkeys(tags))}


def _variable(one: Variable) -> VariableBody:
    return VariableBody(
        type=one.type,
        required=one.demanded,
        default=one.default,
        description=one.description,
        max_length=one.max_length,
    )
