"""The top level: `render` and its commands, `upload`, `credits`, `usage`.

What a command needs is imported when it runs, so `--help` and completion are quick.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from api.cli import asking, batches, catalogs, hooks, publications, publishers, renders, sessions, templates, triggers
from api.cli.groups import group
from api.cli.options import Json, Since, Until
from api.cli.reporting import connected, show_json, words
from api.cli.short import RenderFirst

HELP = """Make many AI videos: nothing lost, nothing charged twice.

\b
  vivideo up                                  start a service on this machine
  vivideo render "a 10-second video of …"     make a video there and download it
  vivideo render list --status failed         what became of the others
"""
EPILOG = """\b
Exit status:
  0    done
  1    failed: the render, the service, or this machine; the message says which
  2    wrong use
  4    not authorised: no key, a wrong one, or one that may not do this
  130  interrupted (Ctrl-C); a render goes on
  141  the reader of the output went away

The service: VIVIDEO_URL and VIVIDEO_API_KEY, or else the stack that runs in .vivideo here or above."""

app = group(HELP, cls=RenderFirst, epilog=EPILOG, pretty_exceptions_enable=False)
app.add_typer(renders.app, name="render")
app.add_typer(batches.app, name="batch")
app.add_typer(catalogs.app, name="catalog")
app.add_typer(hooks.app, name="hooks")
app.add_typer(publishers.app, name="publishers")
app.add_typer(publications.app, name="publications")
app.add_typer(sessions.app, name="session")
app.add_typer(templates.app, name="templates")
app.add_typer(triggers.app, name="triggers")


@app.command()
def upload(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Up to 200 MB each.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Send files ahead, as assets for any number of renders.

    What no render uses expires after a day.

    \b
      vivideo upload shoe.jpg logo.png
      vivideo render "a video of our shoe" -a upl_…
    """
    paths = [asking.a_file(path) for path in files]
    with connected(as_json=as_json) as client:
        from api.cli import uploading

        console, sent = words(), list[object]()
        for path in paths:
            made = uploading.upload(client, path)
            sent.append(made.to_dict())
            if not as_json:
                console.print(f"{made.id}  {made.name}  {made.media_type}", markup=False)
        if as_json:
            show_json({"data": sent})


@app.command()
def credits(as_json: Json = False) -> None:
    """Show the balances as last read from the backend."""
    with connected(as_json=as_json) as client:
        found = client.credits()
        if as_json:
            return show_json(found.to_dict())
        from api.cli import balances

        return balances.show_credits(words(), found)


@app.command()
def usage(
    since: Since = None,
    until: Until = None,
    by: Annotated[Literal["day"] | None, typer.Option(help="A row for each day (UTC).")] = None,
    as_json: Json = False,
) -> None:
    """Show what the runs that ended lately came to.

    How they ended, credits, seconds of video; 30 days by default.

    \b
      vivideo usage --since 7d --by day
    """
    with connected(as_json=as_json) as client:
        found = client.usage(after=since, before=until, by=by)
        if as_json:
            return show_json({"data": [one.to_dict() for one in found]})
        from api.cli import balances

        return balances.show_usage(words(), found)
