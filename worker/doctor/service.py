"""The intake and Flower, asked over HTTP at their own addresses."""

import os
from collections.abc import Iterator

import httpx

from worker.doctor.findings import Case, Finding, fail, ok, warn

SECONDS = 5.0
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def look(case: Case) -> Iterator[Finding]:
    name, url = "api", _api(case)
    try:
        answer = httpx.get(f"{url}/readyz", timeout=SECONDS, trust_env=False)
        said = answer.json()
        missing = [str(one) for one in said["missing"]]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        remedy = "start it (`vivideo up`), or name its address in VIVIDEO_URL"
        yield fail(name, f"{url} does not answer: {type(error).__name__}", remedy)
        return
    except (ValueError, KeyError, TypeError):
        yield fail(name, f"something else answers at {url}", "set VIVIDEO_API_PORT, or VIVIDEO_URL, to the API's own")
        return
    if missing:
        yield fail(name, f"{url} is not ready: {'; '.join(missing)}", "see to what it names")
    else:
        yield ok(name, f"{url} is ready")


def look_at_flower(case: Case) -> Iterator[Finding]:
    noted = case.stack.get("flower", {}).get("url")
    url = str(noted or f"http://127.0.0.1:{case.settings.servers.flower_port}")
    remedy = "nothing depends on it: start it to watch the workers"
    try:
        answer = httpx.get(f"{url}/healthcheck", timeout=SECONDS, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield warn("flower", f"{url} does not answer: {type(error).__name__}", remedy)
        return
    if answer.status_code in (200, 401):
        yield ok("flower", f"{url} answers")
    else:
        yield warn("flower", f"{url} answers with {answer.status_code}", remedy)


def _api(case: Case) -> str:
    named = os.environ.get("VIVIDEO_URL") or case.stack.get("api", {}).get("url")
    if named:
        return str(named).rstrip("/")
    servers = case.settings.servers
    host = "127.0.0.1" if servers.api_host in _EVERYWHERE else servers.api_host
    return f"http://[{host}]:{servers.api_port}" if ":" in host else f"http://{host}:{servers.api_port}"
