"""Recipes without a database: a template's version as it would be kept."""

from typing import Any

from worker.catalogs.options import Options
from worker.catalogs.requests import Recipe
from worker.database import new_id
from worker.templates.models import Template, TemplateVersion
from worker.templates.store import Found


def recipe(prompt: str, variables: dict[str, Any], **options: Any) -> Recipe:
    """A recipe of a template with this prompt and these variables."""
    version = TemplateVersion(
        id=new_id("tpv"),
        number=1,
        prompt=prompt,
        variables=variables,
        language=options.pop("speaks", None),
        tags=["own"],
    )
    return Recipe(Found(Template(name="promo"), version), Options(**options), None)
