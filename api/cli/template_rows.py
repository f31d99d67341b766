"""Templates for people."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from api.cli import rows
from api.client import Preview, Template, TemplateDryRun, TemplateVariable, TemplateVersion


def show_list(console: Console, found: Sequence[Template]) -> None:
    """A row for each."""
    if not found:
        return console.print("No templates here. Make one:  vivideo templates create NAME TEXT", markup=False)
    titles = ("name", "id", "version", "variables", "changed")
    return rows.table(console, titles, [_row(one) for one in found])


def show(console: Console, found: Template | TemplateVersion) -> None:
    """One version, its variables, its text."""
    version = found.version if isinstance(found, Template) else found
    archived = found.archived_at if isinstance(found, Template) else None
    named: list[tuple[str, rows.Cell | None]] = [
        ("template", version.template),
        ("id", found.id if isinstance(found, Template) else None),
        ("created", rows.when(version.created_at)),
        ("archived", rows.when(archived)),
        ("language", version.language),
        ("tags", ", ".join(version.tags)),
    ]
    rows.fields(console, named)
    _variables(console, version.variables)
    _text(console, version.prompt)


def show_checked(console: Console, checked: TemplateDryRun) -> None:
    """What would be made, and advice."""
    named: list[tuple[str, rows.Cell | None]] = [("valid", "yes: nothing was kept"), ("name", checked.name)]
    rows.fields(console, [*named, *(("hint", hint.message) for hint in checked.hints)])
    _variables(console, checked.content.variables)


def show_preview(console: Console, found: Preview) -> None:
    """The prompt, and beside it what made it."""
    named: list[tuple[str, rows.Cell | None]] = [("template", found.template), ("language", found.language)]
    rows.fields(console, [*named, *(("hint", hint.message) for hint in found.hints)])
    _text(console, found.prompt)


def _row(one: Template) -> tuple[str, ...]:
    version = one.version
    return one.name, one.id, str(version.number), " ".join(version.variables), rows.when(version.created_at)


def _variables(console: Console, variables: Mapping[str, TemplateVariable]) -> None:
    if variables:
        console.print()
        titles = ("variable", "type", "given", "at most", "what")
        rows.table(console, titles, [_variable(name, one) for name, one in variables.items()])


def _variable(name: str, one: TemplateVariable) -> tuple[str, ...]:
    given = "required" if one.required else f"default {one.default}" if one.default is not None else "optional"
    return name, one.type, given, str(one.max_length or ""), one.description


def _text(console: Console, text: str) -> None:
    """As it is, without what a terminal would take for a command."""
    console.print()
    console.print(Text("".join(one if one.isprintable() or one in "\n\t" else "�" for one in text)), soft_wrap=True)
