"""`vivideo session …`: begin one, talk in it, look at it."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import asking, renders
from api.cli.groups import group
from api.cli.options import Json, Output, Wait
from api.cli.reporting import connected, say, show_json, words

if TYPE_CHECKING:
    from api.client import Client, Message

HELP = """Go on with one video: several files, several instructions, edits, one after the other.

\b
  vivideo session start "a 10-second video about the sea" -a waves.jpg
  vivideo session send ssn_… "make it 6 seconds"
  vivideo session send ssn_…                       talk, line by line
"""
PROMPT = "> "
LONGEST_WAIT_SECONDS = 60

app = group(HELP)

SessionId = Annotated[str, typer.Argument(metavar="ID", help="ssn_…", show_default=False)]
Assets = Annotated[
    list[str] | None,
    typer.Option("-a", "--asset", metavar="FILE|URL|ID", help="Picture, clip or sound; several times."),
]
Key = Annotated[
    str | None, typer.Option(help="A text of your own: repeated with it, the command finds what it made before.")
]


@app.command()
def start(
    instructions: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT…]", help="A video each, in this order.", show_default=False)
    ] = None,
    asset: Assets = None,
    name: Annotated[str | None, typer.Option(help="To know it by.")] = None,
    language: Annotated[str | None, typer.Option(help="Of its videos; detected by default.")] = None,
    idempotency_key: Key = None,
    as_json: Json = False,
) -> None:
    """Begin a session, with instructions or without.

    Each instruction is a video of its own, made one after the other. Files wait for the first one.

    \b
      vivideo session start "a video of this shoe" "now in blue" -a shoe.jpg
    """
    given = asking.assets(asset or [])
    with connected(as_json=as_json) as client:
        made = client.begin_session(
            *(instructions or []),
            name=name,
            language=language,
            assets=asking.sent(client, given, idempotency_key),
            idempotency_key=idempotency_key,
        )
        if as_json:
            return show_json(made.to_dict())
        console = words()
        console.print(made.id)
        for turn in made.turns:
            console.print(f"{turn.id}  {turn.prompt}", markup=False)
        return None


@app.command()
def send(
    session_id: SessionId,
    text: Annotated[
        str | None, typer.Argument(help="What to do; without it, on a terminal, line by line.", show_default=False)
    ] = None,
    asset: Assets = None,
    output: Output = None,
    idempotency_key: Key = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Say something in a session.

    An instruction makes a video; "export", "credits", "status", "upload" are answered. Files alone wait for the next
    instruction.

    \b
      vivideo session send ssn_… "add the title Summer" -o summer.mp4
      vivideo session send ssn_… credits
    """
    asking.check_output(output)
    given = asking.assets(asset or [])
    with connected(as_json=as_json) as client:
        if text is None and not given:
            return _talk(client, session_id)
        files = asking.sent(client, given, idempotency_key)
        said = client.send(session_id, text, assets=files, idempotency_key=idempotency_key)
        if said.render is not None:
            return renders.go_on(client, said.render, output, wait=wait, as_json=as_json)
        if as_json:
            return show_json(said.to_dict())
        return words().print(said.answer or "", markup=False)


@app.command()
def state(session_id: SessionId, as_json: Json = False) -> None:
    """Show a session's timeline, and whose turn it is."""
    with connected(as_json=as_json) as client:
        found = client.session_state(session_id)
        if as_json:
            return show_json(found.to_dict())
        from api.cli import tables

        return tables.show_session_state(words(), found)


@app.command("list")
def list_sessions(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    as_json: Json = False,
) -> None:
    """List sessions, newest first."""
    with connected(as_json=as_json) as client:
        page = client.sessions(limit=limit)
        if as_json:
            return show_json(page.to_dict())
        from api.cli import tables

        return tables.show_sessions(words(), page.data)


def _talk(client: "Client", session_id: str) -> None:
    """Line by line until the end of the input; each answer before the next question."""
    at_terminal = sys.stdin.isatty()
    if at_terminal:
        say("an instruction, or export, credits, status; Ctrl-D ends")
    while line := _line(PROMPT if at_terminal else ""):
        if line.strip():
            _answer(client.send(session_id, line.strip(), wait=LONGEST_WAIT_SECONDS))


def _line(prompt: str) -> str:
    if prompt:
        typer.echo(prompt, nl=False, err=True)
    return sys.stdin.readline()


def _answer(said: "Message") -> None:
    console, render = words(), said.render
    if said.answer:
        console.print(said.answer, markup=False)
    if render is not None and render.error is not None:
        console.print(f"{render.id} {render.status}: {render.error.message}", markup=False)
    elif render is not None:
        console.print(f"{render.id} {render.status}", markup=False)
    for change in said.changes:
        console.print(f"  {change.text}", markup=False)
