"""HTML by functions: every text is escaped unless it is `Markup` already."""

from collections.abc import Iterable
from html import escape

from starlette.responses import HTMLResponse


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | Markup


def tag(name: str, *content: Content, **attributes: str) -> Markup:
    """One element; `class_="x"` gives `class="x"`."""
    given = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{given}>{join(content)}</{name}>")


def join(content: Iterable[Content]) -> Markup:
    """The pieces one after another."""
    return Markup("".join(one if isinstance(one, Markup) else escape(one) for one in content))


def words(text: str) -> Markup:
    """A text in which `backticks` mark code."""
    parts = text.split("`")
    return join(tag("code", part) if place % 2 else part for place, part in enumerate(parts))


def link(address: str, text: Content) -> Markup:
    """A link."""
    return tag("a", text, href=address)


def table(head: Iterable[str], rows: Iterable[Iterable[Content]]) -> Markup:
    """A real table; its first column names the rows."""
    header = tag("tr", *(tag("th", title, scope="col") for title in head))
    body = (tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    return tag("table", tag("thead", header), tag("tbody", *body))


def page(title: str, *content: Content) -> HTMLResponse:
    """A whole document."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/assets/style.css">'
    )
    navigation = tag("nav", link("/", "vivideo"), " · ", link("/docs", "API"), " · ", link("/docs/errors", "errors"))
    body = join([tag("header", navigation), tag("main", tag("h1", title), *content)])
    return HTMLResponse(f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>')
