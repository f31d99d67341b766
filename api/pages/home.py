"""The front page: whether all is well, and where things are. It shows nothing of anybody's renders."""

from starlette.responses import HTMLResponse

from api.health import look
from api.pages.html import join, link, page, table, tag
from config.settings import settings


def home(address: str) -> HTMLResponse:
    """The page at `/`; `address` is how the visitor reached it."""
    health = look()
    state = "Everything is running." if health.ready else "Renders are accepted, but something is missing."
    rows = [
        (name, tag("span", "✓ fine" if good else "✗ missing", class_="good" if good else "bad"))
        for name, good in health.checks.items()
    ]
    missing = [tag("ul", *(tag("li", one) for one in health.missing))] if health.missing else []
    flower = f"http://{_host()}:{settings().servers.flower_port}/"
    return page(
        "vivideo",
        tag("p", state, role="status"),
        table(("part", "state"), rows),
        *missing,
        tag("h2", "Where things are"),
        tag(
            "ul",
            tag("li", link("/docs", "The API"), ", and as ", link("/openapi.json", "OpenAPI")),
            tag("li", link("/docs/errors", "Every error and its remedy")),
            tag("li", link(flower, "Flower"), ": the workers, behind a password"),
            tag("li", link("/readyz", "Health for machines")),
        ),
        tag("h2", "A first video"),
        tag("pre", tag("code", 'vivideo render "create a 20-second video about a quiet morning by the sea"')),
        join(["Or over HTTP:"]),
        tag("pre", tag("code", CURL.replace("ADDRESS", address))),
    )


CURL = """curl -s ADDRESS/v1/renders \\
  -H "Authorization: Bearer $VIVIDEO_API_KEY" -H "Idempotency-Key: $(date +%s)" \\
  -H "Content-Type: application/json" \\
  -d '{"prompt": "create a 20-second video about a quiet morning by the sea"}'"""


def _host() -> str:
    host = settings().servers.api_host
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
