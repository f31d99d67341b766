"""What a key may do: each address names its scope, and who lacks it has done nothing."""

import socket

import pytest

from api.app import app
from tests.api.keys import caller, new_key
from tests.api.service import Service
from tests.api.tables import contents
from worker.owners.limits import Limits
from worker.owners.scopes import Scope

READ, WRITE, FILES, MONEY = Scope.RENDERS_READ, Scope.RENDERS_WRITE, Scope.UPLOADS_WRITE, Scope.ACCOUNT_READ
HOOKS = Scope.WEBHOOKS_WRITE
NEEDED: dict[tuple[str, str], Scope | None] = {
    ("get", "/v1/renders"): READ,
    ("post", "/v1/renders"): WRITE,
    ("get", "/v1/renders/{id}"): READ,
    ("patch", "/v1/renders/{id}"): WRITE,
    ("delete", "/v1/renders/{id}"): WRITE,
    ("post", "/v1/renders/{id}/cancel"): WRITE,
    ("post", "/v1/renders/{id}/retry"): WRITE,
    ("get", "/v1/renders/{id}/events"): READ,
    ("get", "/v1/renders/{id}/video"): READ,
    ("get", "/v1/renders/{id}/poster"): READ,
    ("get", "/v1/renders/{id}/timeline"): READ,
    ("get", "/v1/batches"): READ,
    ("post", "/v1/batches"): WRITE,
    ("get", "/v1/batches/{id}"): READ,
    ("patch", "/v1/batches/{id}"): WRITE,
    ("get", "/v1/batches/{id}/items"): READ,
    ("get", "/v1/batches/{id}/problems"): READ,
    ("get", "/v1/batches/{id}/manifest"): READ,
    ("post", "/v1/batches/{id}/cancel"): WRITE,
    ("post", "/v1/batches/{id}/pause"): WRITE,
    ("post", "/v1/batches/{id}/resume"): WRITE,
    ("post", "/v1/batches/{id}/approve"): WRITE,
    ("post", "/v1/batches/{id}/retry-failed"): WRITE,
    ("get", "/v1/publishers"): READ,
    ("post", "/v1/publishers"): WRITE,
    ("get", "/v1/publishers/{id}"): READ,
    ("patch", "/v1/publishers/{id}"): WRITE,
    ("delete", "/v1/publishers/{id}"): WRITE,
    ("post", "/v1/publishers/{id}/check"): WRITE,
    ("post", "/v1/publishers/{id}/publications"): WRITE,
    ("get", "/v1/publications"): READ,
    ("get", "/v1/publications/{id}"): READ,
    ("post", "/v1/publications/{id}/retry"): WRITE,
    ("get", "/v1/catalogs"): READ,
    ("post", "/v1/catalogs"): WRITE,
    ("get", "/v1/catalogs/{id}"): READ,
    ("patch", "/v1/catalogs/{id}"): WRITE,
    ("delete", "/v1/catalogs/{id}"): WRITE,
    ("post", "/v1/catalogs/{id}/read"): WRITE,
    ("get", "/v1/catalogs/{id}/reads"): READ,
    ("get", "/v1/catalogs/{id}/reads/{read_id}"): READ,
    ("get", "/v1/catalogs/{id}/reads/{read_id}/problems"): READ,
    ("get", "/v1/catalogs/{id}/reads/{read_id}/changes"): READ,
    ("get", "/v1/triggers"): READ,
    ("post", "/v1/triggers"): WRITE,
    ("get", "/v1/triggers/{id}"): READ,
    ("patch", "/v1/triggers/{id}"): WRITE,
    ("delete", "/v1/triggers/{id}"): WRITE,
    ("post", "/v1/triggers/{id}/rotate-secret"): WRITE,
    ("post", "/v1/triggers/{id}/test"): READ,
    ("get", "/v1/triggers/{id}/deliveries"): READ,
    ("get", "/v1/trigger-deliveries/{id}"): READ,
    ("post", "/v1/trigger-deliveries/{id}/replay"): WRITE,
    ("post", "/v1/renders/{id}/edits"): WRITE,
    ("get", "/v1/sessions"): READ,
    ("post", "/v1/sessions"): WRITE,
    ("get", "/v1/sessions/{id}"): READ,
    ("get", "/v1/sessions/{id}/state"): READ,
    ("post", "/v1/sessions/{id}/messages"): WRITE,
    ("post", "/v1/sessions/{id}/close"): WRITE,
    ("get", "/v1/webhook-endpoints"): READ,
    ("post", "/v1/webhook-endpoints"): HOOKS,
    ("get", "/v1/webhook-endpoints/{id}"): READ,
    ("patch", "/v1/webhook-endpoints/{id}"): HOOKS,
    ("delete", "/v1/webhook-endpoints/{id}"): HOOKS,
    ("get", "/v1/webhook-endpoints/{id}/secret"): HOOKS,
    ("post", "/v1/webhook-endpoints/{id}/rotate-secret"): HOOKS,
    ("post", "/v1/webhook-endpoints/{id}/test"): HOOKS,
    ("post", "/v1/webhook-endpoints/{id}/redeliver"): HOOKS,
    ("get", "/v1/webhook-endpoints/{id}/deliveries"): READ,
    ("get", "/v1/webhook-deliveries"): READ,
    ("get", "/v1/webhook-deliveries/{id}"): READ,
    ("post", "/v1/webhook-deliveries/{id}/redeliver"): HOOKS,
    ("get", "/v1/events"): READ,
    ("get", "/v1/templates"): READ,
    ("post", "/v1/templates"): WRITE,
    ("get", "/v1/templates/{id}"): READ,
    ("delete", "/v1/templates/{id}"): WRITE,
    ("get", "/v1/templates/{id}/versions"): READ,
    ("post", "/v1/templates/{id}/versions"): WRITE,
    ("get", "/v1/templates/{id}/versions/{number}"): READ,
    ("post", "/v1/templates/{id}/preview"): READ,
    ("post", "/v1/uploads"): FILES,
    ("get", "/v1/uploads/{id}"): FILES,
    ("delete", "/v1/uploads/{id}"): FILES,
    ("get", "/v1/credits"): MONEY,
    ("get", "/v1/accounts"): MONEY,
    ("get", "/v1/accounts/{id}"): MONEY,
    ("get", "/v1/usage"): MONEY,
    ("get", "/v1/recoveries"): MONEY,
    ("get", "/v1/key"): None,
}
ADDRESSES = sorted(NEEDED)
OPEN = {("post", "/v1/triggers/{id}/deliveries")}
"""On purpose without a key: a shop has none. Who it is says its signature, see `test_triggers.py`."""
NO_ID = "0" * 26


def _path(template: str) -> str:
    prefix = (
        {
            "renders": "rnd_",
            "batches": "bat_",
            "catalogs": "cat_",
            "publishers": "pub_",
            "publications": "pbn_",
            "uploads": "upl_",
            "accounts": "acc_",
            "sessions": "ssn_",
            "templates": "tpl_",
            "triggers": "trg_",
            "trigger-deliveries": "tdl_",
            "webhook-endpoints": "whe_",
            "webhook-deliveries": "msg_",
        }[template.split("/")[2]]
        if "{" in template
        else ""
    )
    return template.replace("{id}", prefix + NO_ID).replace("{number}", "1").replace("{read_id}", "crd_" + NO_ID)


def test_every_address_is_known_to_these_tests():
    """A new one has to say here which scope it needs."""
    operations = {
        (method, path) for path, item in app.openapi()["paths"].items() if path.startswith("/v1/") for method in item
    }
    assert operations == set(NEEDED) | OPEN


@pytest.fixture(scope="module")
def every_scope_but(service: Service) -> dict[Scope, str]:
    """Keys that lack one scope."""
    return {lacking: new_key(service, scopes=[one for one in Scope if one is not lacking]) for lacking in Scope}


@pytest.fixture(scope="module")
def only(service: Service) -> dict[Scope, str]:
    """Keys that have one scope."""
    return {scope: new_key(service, scopes=[scope]) for scope in Scope}


@pytest.mark.parametrize(("method", "path"), [one for one in ADDRESSES if NEEDED[one]])
def test_all_other_scopes_do_not_do(service: Service, every_scope_but: dict[Scope, str], method: str, path: str):
    """403 names the scope that is missing and how to get it, before anything else is looked at; nothing is left."""
    needed = NEEDED[method, path]
    assert needed is not None
    before = contents(service)
    with caller(service, every_scope_but[needed]) as lacking:
        answer = lacking.request(method, _path(path))
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.scope")
    assert f"scope {needed}," in answer.json()["detail"]
    assert f"--scope {needed}" in answer.json()["detail"]
    assert contents(service) == before


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_the_one_scope_does(service: Service, only: dict[Scope, str], method: str, path: str):
    """Whatever the answer then is, it is not about the key."""
    with caller(service, only[NEEDED[method, path] or Scope.ACCOUNT_READ]) as allowed:
        assert allowed.request(method, _path(path)).status_code not in (401, 403)


def test_a_key_says_what_it_may_do(service: Service):
    """To itself, whatever its scopes are."""
    with caller(service, new_key(service, scopes=[FILES], limits=None)) as key:
        told = key.get("/v1/key").json()
    assert (told["scopes"], told["limits"], told["owner"]) == (["uploads:write"], {}, "default")


def _answer_before_the_body(service: Service, key: str, path: str) -> bytes:
    """The first words of the answer to a request whose body is declared and never sent."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(head.encode())
        return connection.recv(4096)


@pytest.mark.parametrize("path", ["/v1/renders", "/v1/batches", "/v1/uploads"])
def test_who_is_refused_is_refused_before_the_body(service: Service, only: dict[Scope, str], path: str):
    """No byte of it is waited for: a wrong key, a missing scope, a spent budget."""
    assert _answer_before_the_body(service, "vv_wrong", path).startswith(b"HTTP/1.1 401")
    assert _answer_before_the_body(service, only[READ], path).startswith(b"HTTP/1.1 403")
    spent = new_key(service, limits=Limits(requests_per_minute=1))
    with caller(service, spent) as key:
        key.post("/v1/renders", json={})
    assert _answer_before_the_body(service, spent, path).startswith(b"HTTP/1.1 429")
