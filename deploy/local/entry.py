"""The `vivideo` program: the local stack, and the commands about renders. Imports late: `--help` must be quick."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import app
from api.cli import run as run_command
from api.cli.doctor import doctor

if TYPE_CHECKING:
    from collections.abc import Callable

NoSandbox = Annotated[
    bool, typer.Option("--no-sandbox", help="Use the real backend, also when NEMO_API_URL does not name one.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Keep the processes' lines in their log files only.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds that the database may take to appear.")]

app.command()(doctor)


@app.command()
def up(no_sandbox: NoSandbox = False, quiet: Quiet = False) -> None:
    """Start everything on this machine and stay in the foreground."""
    from .output import Terminal
    from .stack import Wishes
    from .up import run

    _exit_with(lambda: run(Wishes(sandbox=not no_sandbox), Terminal(echo=not quiet)))


@app.command()
def demo() -> None:
    """Start everything, make one video through the public API and show where it is."""
    from .demo import run

    _exit_with(run)


@app.command()
def migrate(wait: Wait = 60) -> None:
    """Bring the database up to date, as each new version needs; harmless to repeat."""
    from .migrate import run

    _exit_with(lambda: run(wait=wait))


def _exit_with(work: "Callable[[], int]") -> None:
    from pydantic import ValidationError

    from .errors import LocalError

    try:
        status = work()
    except LocalError as error:
        sys.stderr.write(f"vivideo: {error}\n")
        status = 1
    except ValidationError as error:
        for problem in error.errors():
            sys.stderr.write(f"vivideo: setting {'.'.join(map(str, problem['loc']))}: {problem['msg']}\n")
        status = 2
    raise typer.Exit(status)


def main() -> None:
    """The console script."""
    run_command(app)


if __name__ == "__main__":
    main()
