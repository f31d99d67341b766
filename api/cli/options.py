"""Options and arguments that several commands have."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Where the video goes: a file or a directory; ./<id>.mp4.")
]
RenderId = Annotated[str, typer.Argument(metavar="ID", help="rnd_…", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it and download the video, or only print its id.")]
Variables = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="NAME=TEXT|NAME:=JSON", help="A template's variable; several times."),
]
VariablesFile = Annotated[
    Path | None, typer.Option("--var-file", metavar="FILE", help="Variables as one JSON object; --var goes over them.")
]
RowsTemplate = Annotated[
    str | None, typer.Option("--template", "-t", metavar="NAME[@N]", help="That its rows or products fill.")
]
Priority = Literal["high", "normal", "low"]


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> datetime:
    """`24h`, `7d` (ago), or a date or time as in ISO 8601, local where it names no zone. Raises typer.BadParameter."""
    try:
        if text[-1:] in _UNITS and text[:-1].isdecimal():
            return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither like 30m, 24h, 7d nor a time like 2027-01-31T09:00") from None


Since = Annotated[
    datetime | None, typer.Option(parser=moment, metavar="WHEN", help="From then on: 24h, 7d, 2027-01-31.")
]
Until = Annotated[datetime | None, typer.Option(parser=moment, metavar="WHEN", help="Before then.")]


SPAN = re.compile(r"(\d{1,5})([mhdw])")


def span(text: str) -> timedelta:
    """`30m`, `24h`, `90d`, `8w`, or 0. Raises typer.BadParameter."""
    if text == "0":
        return timedelta(0)
    found = SPAN.fullmatch(text)
    if not found:
        raise typer.BadParameter(f"{text!r} is not like 30m, 24h, 90d, 8w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
