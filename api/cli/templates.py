"""`vivideo templates …`: list, show, make, change, try, archive."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import asking
from api.cli.groups import group
from api.cli.options import Json, Variables, VariablesFile
from api.cli.reporting import connected, say, show_json, words

if TYPE_CHECKING:
    from api.client import TemplateFields

HELP = """Prompts with variables: written once, filled for each video.

\b
  vivideo templates create promo --prompt-file promo.txt --var-file promo.json
  vivideo templates preview promo --var title="Red mug"
  vivideo render create --template promo --var title="Red mug"
"""

app = group(HELP)

Which = Annotated[str, typer.Argument(metavar="NAME", help="Its name or id (tpl_…).", show_default=False)]
Prompt = Annotated[str | None, typer.Argument(help="Its text; - reads standard input.", show_default=False)]
PromptFile = Annotated[Path | None, typer.Option(help="Read the text from a file.")]
Declarations = Annotated[
    Path | None, typer.Option("--var-file", metavar="FILE", help='Its variables: {"title": {"type": "text"}, …}.')
]
Language = Annotated[str | None, typer.Option(help="Of the renders that name none.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Of the renders that name none.")]
Number = Annotated[int | None, typer.Option(min=1, metavar="N", help="Of this version; of the newest by default.")]


@app.command("list")
def listed(limit: Annotated[int, typer.Option(min=1, max=200)] = 50, as_json: Json = False) -> None:
    """List the templates with their newest versions, newest template first."""
    with connected(as_json=as_json) as client:
        page = client.templates(limit=limit)
        if as_json:
            return show_json(page.to_dict())
        from api.cli import template_rows

        template_rows.show_list(words(), page.data)
        if page.next_cursor:
            say(f"these are the newest {len(page.data)}; --limit 200 shows more")
        return None


@app.command()
def show(which: Which, version: Number = None, as_json: Json = False) -> None:
    """Show a version of a template: its text and its variables."""
    with connected(as_json=as_json) as client:
        found = client.template(which) if version is None else client.template_version(which, version)
        if as_json:
            return show_json(found.to_dict())
        from api.cli import template_rows

        return template_rows.show(words(), found)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Small letters, digits, . and -.", show_default=False)],
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    var_file: Declarations = None,
    language: Language = None,
    tag: Tags = None,
    idempotency_key: Annotated[str | None, typer.Option(help="A text of your own, to repeat the command with.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check it.")] = False,
    as_json: Json = False,
) -> None:
    """Make a template.

    \b
      vivideo templates create promo "a video about {{ title }}" --var-file variables.json
    """
    text, fields = asking.prompt_text(prompt, prompt_file), _fields(var_file, language, tag)
    with connected(as_json=as_json) as client:
        if not dry_run:
            made = client.create_template(name, text, idempotency_key=idempotency_key, **fields)
            return show_json(made.to_dict()) if as_json else words().print(made.version.template, markup=False)
        checked = client.check_template(name, text, **fields)
        if as_json:
            return show_json(checked.to_dict())
        from api.cli import template_rows

        return template_rows.show_checked(words(), checked)


@app.command()
def update(
    which: Which,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    var_file: Declarations = None,
    language: Language = None,
    tag: Tags = None,
    idempotency_key: Annotated[str | None, typer.Option(help="A text of your own, to repeat the command with.")] = None,
    as_json: Json = False,
) -> None:
    """Make a template's next version. Without --var-file, --language or --tag those of the newest stay."""
    text, fields = asking.prompt_text(prompt, prompt_file), _fields(var_file, language, tag)
    with connected(as_json=as_json) as client:
        newest = client.template(which).version.to_dict()
        for name in ("variables", "language", "tags"):
            fields.setdefault(name, newest[name])
        made = client.update_template(which, text, idempotency_key=idempotency_key, **fields)
        return show_json(made.to_dict()) if as_json else words().print(made.template, markup=False)


@app.command()
def preview(
    which: Which,
    var: Variables = None,
    var_file: VariablesFile = None,
    version: Number = None,
    as_json: Json = False,
) -> None:
    """Show the prompt that a template makes of these variables; nothing is kept or charged.

    \b
      vivideo templates preview promo --var title="Red mug" --var price:=9.5
    """
    given = asking.variables(var or [], var_file)
    with connected(as_json=as_json) as client:
        found = client.preview_template(which, given, version=version)
        if as_json:
            return show_json(found.to_dict())
        from api.cli import template_rows

        return template_rows.show_preview(words(), found)


@app.command()
def delete(which: Which, as_json: Json = False) -> None:
    """Archive a template: nothing new is made of it, and its renders keep it."""
    with connected(as_json=as_json) as client:
        found = client.template(which)
        client.archive_template(found.id)
        if as_json:
            return show_json(client.template(found.id).to_dict())
        return words().print(f"{found.name} archived ({found.id})", markup=False)


def _fields(var_file: Path | None, language: str | None, tags: list[str] | None) -> "TemplateFields":
    """What was given on the command line."""
    fields: TemplateFields = {}
    if var_file is not None:
        fields["variables"] = asking.declarations(var_file)
    if language is not None:
        fields["language"] = language
    if tags:
        fields["tags"] = tags
    return fields
