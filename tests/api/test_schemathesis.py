"""The whole API against its own document: generated requests, right ones and wrong ones, over real HTTP."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert

from api.app import app
from api.problems import MEDIA_TYPE
from tests.api import shops, working
from tests.api.service import FIRST_KEY, Service, serving
from worker.accounts.models import Account
from worker.database import new_id
from worker.media.storage import open_storage
from worker.renders.states import Status

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
SECONDS = 300
"""A run takes about 15 s; one that hangs should not take the whole suite with it."""
CASES = 6
"""Random ones for each operation, beside the examples and the borders of every field."""

CONFIG = """
continue-on-failure = true
warnings = false

[generation]
max-examples = {cases}
no-shrink = true
deterministic = true

[phases.stateful]
generation.max-examples = {cases}

# Rules that a schema cannot say (a cursor is one that was given out, a tag the render's) refuse valid requests, with
# documented answers: those are checked.
[checks]
positive_data_acceptance.enabled = false

# No worker lives in these tests, which is what its 503 is for.
[[operations]]
include-path = "/readyz"
checks.not_a_server_error.enabled = false

[dictionaries]
renders = {{ values = {renders} }}
batches = {{ values = {batches} }}
uploads = {{ values = {uploads} }}
accounts = {{ values = {accounts} }}
templates = {{ values = {templates} }}
catalogs = {{ values = {catalogs} }}
publishers = {{ values = {publishers} }}
publications = {{ values = {publications} }}
sessions = {{ values = {sessions} }}
triggers = {{ values = {triggers} }}
trigger-deliveries = {{ values = {deliveries} }}
webhook-endpoints = {{ values = {endpoints} }}
webhook-deliveries = {{ values = {told} }}

{bindings}
"""
HOOKS = """
import schemathesis

schemathesis.serializer.alias(["application/x-ndjson"], "text/plain")
"""
BINDING = """
[[operations]]
include-path = {path}
parameters = {{ "path.id" = {{ dictionary = "{name}", probability = 0.7 }} }}
"""


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Service]:
    """An intake of its own: the hundreds of renders asked for here would be in the way of other tests."""
    with serving(database, tmp_path_factory.mktemp("state"), 22_000 + worker_number * 100) as running:
        yield running


@pytest.fixture(scope="module")
def ids(service: Service) -> dict[str, list[str]]:
    """Things that exist, so that not every request meets a 404: renders in each state, an upload, an account."""
    ends = (Status.SUCCEEDED, Status.FAILED)
    renders = [service.make()["id"] for _ in range(2)]
    renders += [_ended(service, end) for end in ends]
    canceled = service.make()["id"]
    assert service.first.post(f"/v1/renders/{canceled}/cancel").status_code == 200
    upload = service.first.post("/v1/uploads", content=PNG + bytes(64))
    assert upload.status_code == 201, upload.text
    account = new_id("acc")
    row = insert(Account).values(id=account, kind="registered", name="one", disabled_at=func.now())
    service.write(lambda session: session.execute(row))
    items = [{"prompt": "one of many"}, {"prompt": ""}]
    batches = [service.first.post("/v1/batches", json={"items": items}).json()["id"] for _ in range(2)]
    templates = [_template(service, name) for name in ("of-schemathesis", "archived")]
    assert service.first.delete("/v1/templates/archived").status_code == 204
    catalog = {"url": "https://shop.example/feed", "template": "of-schemathesis"}
    catalogs = [service.first.post("/v1/catalogs", json=catalog).json()["id"]]
    sessions = [service.first.post("/v1/sessions", json={"messages": [{"text": "a lamp"}]}).json()["id"]]
    address = {"url": "https://shop.example/hooks"}
    endpoints = [service.first.post("/v1/webhook-endpoints", json=address).json()["id"] for _ in range(2)]
    tested = [service.first.post(f"/v1/webhook-endpoints/{id}/test", json={}).json()["id"] for id in endpoints]
    known = {
        "endpoints": endpoints,
        "told": tested,
    }
    publisher = {"kind": "http", "settings": {"url": "https://shop.example/videos"}}
    publishers = [service.first.post("/v1/publishers", json=publisher).json()["id"]]
    asked = {"render_id": renders[2], "ref": "lamp"}
    publications = [service.first.post(f"/v1/publishers/{publishers[0]}/publications", json=asked).json()["id"]]
    known |= {
        "publishers": publishers,
        "publications": publications,
        "sessions": sessions,
        "renders": [*renders, canceled],
        "uploads": [upload.json()["id"]],
        "accounts": [account],
    }
    shop = shops.trigger(service)
    came = shops.send(service, shop["links"]["deliveries"], shops.product())
    known |= {"triggers": [shop["id"]], "deliveries": [came.json()["delivery_id"]]}
    return known | {"templates": [*templates, "of-schemathesis"], "batches": batches, "catalogs": catalogs}


def _template(service: Service, name: str) -> str:
    content = {"prompt": "a video about {{ title }}", "variables": {"title": {"required": False}}}
    made = service.first.post("/v1/templates", json={"name": name, **content})
    assert made.status_code == 201, made.text
    return made.json()["id"]


def _ended(service: Service, status: Status) -> str:
    render_id: str = service.make()["id"]
    key, poster = f"renders/{render_id}/video.mp4", f"renders/{render_id}/poster.jpg"
    store = open_storage((service.home / "results").as_uri())
    store.put_bytes(key, b"a video")
    store.put_bytes(poster, b"\xff\xd8 a poster")

    def end(session: Any) -> None:
        held = working.claimed(session, render_id)
        working.with_draft(session, held, b'{"d": 1000, "t": []}')
        if status is Status.SUCCEEDED:
            working.with_result(session, held, key=key, size=7, sha256="ab" * 32, poster=poster)
            working.finished(session, held)
        else:
            why = {"error_code": "export.failed", "error_message": "twice", "error_retryable": True, "error_help": "-"}
            working.finished(session, held, status, **why)

    service.write(end)
    return render_id


def _config(ids: dict[str, list[str]]) -> str:
    named = {path: path.split("/")[2] for path in app.openapi()["paths"] if "{id}" in path}
    bindings = "".join(BINDING.format(path=json.dumps(path), name=name) for path, name in named.items())
    return CONFIG.format(
        cases=CASES,
        bindings=bindings,
        **{name: json.dumps(values) for name, values in ids.items()},
    )


def test_no_request_is_answered_otherwise_than_documented(
    service: Service, ids: dict[str, list[str]], tmp_path: Path
) -> None:
    """Examples, borders, random requests and sequences of them, valid and not: no fault of the service; every status,
    media type, header and body as documented; what is not valid is refused; no call works without its key."""
    statuses = {service.first.get(f"/v1/renders/{id}").json()["status"] for id in ids["renders"]}
    assert statuses == {"queued", "succeeded", "failed", "canceled"}, "what is fed is there"
    (tmp_path / "schemathesis.toml").write_text(_config(ids))
    (tmp_path / "hooks.py").write_text(HOOKS)
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--header", f"Authorization: Bearer {FIRST_KEY}"),
        f"{service.url}/openapi.json",
    )
    environment = os.environ | {"NO_COLOR": "1", "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    operations = sum(len(methods) for methods in app.openapi()["paths"].values())
    assert f"Tested: {operations}" in run.stdout, "none was left out"
    assert "request.fault" not in service.log


def _calls() -> Iterator[tuple[str, str, Any]]:
    """Every operation that belongs to an owner, with an example of what it takes."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                sent = next((one["value"] for one in content.get("examples", {}).values()), None)
                address = (
                    path.replace("{id}", "rnd_" + "0" * 26)
                    .replace("{number}", "1")
                    .replace("{read_id}", "crd_" + "0" * 26)
                )
                yield method.upper(), address, sent


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "auth.missing"),
        ("Bearer", "auth.missing"),
        ("Basic dnZfOnZ2Xw==", "auth.missing"),
        ("Bearer vv_wrong", "auth.invalid"),
        ("Bearer nmv_usr_other", "auth.invalid"),
    ],
)
def test_every_operation_asks_for_a_key(service: Service, authorization: str | None, code: str) -> None:
    """Without one and with a wrong one, each answers 401 as documented, before it looks at anything else."""
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path, sent in _calls():
        answer = service.nobody.request(method, path, json=sent, headers=headers)
        told = (method, path, answer.text)
        assert (answer.status_code, answer.headers["content-type"]) == (401, MEDIA_TYPE), told
        assert answer.json()["code"] == code, told
