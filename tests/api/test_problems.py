"""Bad requests: each is a problem with its code and a remedy, and none is a fault of the service."""

import json
import socket
from typing import Any

import httpx
import pytest

from api.problems import KINDS
from tests.api.service import Service


def _refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "code", "detail", "errors", "request_id", "help"}
    assert problem["help"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


def _post(service: Service, body: object) -> httpx.Response:
    # Written by hand: httpx itself refuses NaN and half a surrogate pair.
    return service.first.post(
        "/v1/renders", content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )


DEEP: Any = {}
for _ in range(9):
    DEEP = {"in": DEEP}


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"prompt": None}, "/prompt"),
        ({"prompt": "   "}, "/prompt"),
        ({"prompt": "x" * 8001}, "/prompt"),
        ({"prompt": "a\0b"}, "/prompt"),
        ({"prompt": "a\ud800b"}, "/prompt"),
        ({"prompt": 7}, "/prompt"),
        ({"template": "tpl_1"}, "/template"),
        ({"variables": {"title": "a shoe"}}, "/variables"),
        ({"template": "promo"}, "/prompt"),
        ({"deadline_seconds": 0}, "/deadline_seconds"),
        ({"deadline_seconds": 2_592_001}, "/deadline_seconds"),
        ({"deadline_seconds": "60"}, "/deadline_seconds"),
        ({"webhook": {"url": "https://10.0.0.1"}}, "/webhook/url"),
        ({"max_credits": 1}, "/max_credits"),
        ({"revision": 1}, "/revision"),
        ({"revision": -1, "external_ref": "a"}, "/revision"),
        ({"revision": "1", "external_ref": "a"}, "/revision"),
        ({"revision": 2**53, "external_ref": "a"}, "/revision"),
        ({"batch": "b"}, "/batch"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"half \ud800": 1}, "/"),
        ({"language": "english!"}, "/language"),
        ({"priority": "urgent"}, "/priority"),
        ({"on_unconfirmed": "again"}, "/on_unconfirmed"),
        ({"quality_gate": "maybe"}, "/quality_gate"),
        ({"expect": {"aspect": "9:17"}}, "/expect/aspect"),
        ({"expect": {"duration_seconds": 0}}, "/expect/duration_seconds"),
        ({"expect": {"duration_seconds": "30"}}, "/expect/duration_seconds"),
        ({"expect": {"loud": True}}, "/expect/loud"),
        ({"output": {"format": "gif"}}, "/output/format"),
        ({"output": {"quality": "low"}}, "/output/quality"),
        ({"output": {"size": 1}}, "/output/size"),
        ({"external_ref": ""}, "/external_ref"),
        ({"external_ref": "a\0"}, "/external_ref"),
        ({"tags": ["x"] * 21}, "/tags"),
        ({"tags": ["x" * 65]}, "/tags/0"),
        ({"tags": "x"}, "/tags"),
        ({"metadata": {"a": float("nan")}}, "/metadata"),
        ({"metadata": {"a": "b\0"}}, "/metadata"),
        ({"metadata": {"a\0": 1}}, "/metadata"),
        ({"metadata": {"a": ["\udfff"]}}, "/metadata"),
        ({"metadata": {"a": "x" * 17_000}}, "/metadata"),
        ({"metadata": DEEP}, "/metadata"),
        ({"metadata": []}, "/metadata"),
        ({"assets": [{}]}, "/assets/0"),
        ({"assets": [{"url": "https://a.example/1.jpg", "upload": "upl_" + "0" * 26}]}, "/assets/0"),
        ({"assets": [{"url": "https://a.example/1.jpg"}] * 21}, "/assets"),
        ({"assets": [{"upload": "../../etc/passwd"}]}, "/assets/0/upload"),
        ({"assets": ["https://a.example/1.jpg"]}, "/assets/0"),
    ],
)
def test_a_wrong_field_is_named(service: Service, fields: dict[str, Any], pointer: str) -> None:
    """422 with a pointer to the field; fields that do nothing yet are refused like unknown ones."""
    problem = _refused(_post(service, {"prompt": "kites"} | fields), 422, "request.invalid")
    assert pointer in {error["pointer"] for error in problem["errors"]}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/1.jpg",
        "//a.example/1.jpg",
        "a.jpg",
        "https://",
        "https:///1.jpg",
        "https://user:secret@a.example/1.jpg",
        "https://a.example:99999/1.jpg",
        "https://[::1/1.jpg",
        "https://a.example/1 2.jpg",
        "https://a.example\\@b.example/",
        "https://a.example/" + "x" * 2048,
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://localhost/1.jpg",
        "http://LOCALHOST./1.jpg",
        "http://127.0.0.1/1.jpg",
        "http://127.1/1.jpg",
        "http://2130706433/1.jpg",
        "http://0x7f000001/1.jpg",
        "http://１２７.0.0.1/1.jpg",
        "http://[::1]/1.jpg",
        "http://[::ffff:10.0.0.1]/1.jpg",
        "http://[fe80::1%25eth0]/1.jpg",
        "http://10.1.2.3/1.jpg",
        "http://192.168.0.1/1.jpg",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/1.jpg",
        "http://db.internal/1.jpg",
    ],
)
def test_an_address_of_a_wrong_form_is_refused(service: Service, url: str) -> None:
    """Only public http(s) addresses without credentials pass; nothing is resolved for that."""
    problem = _refused(_post(service, {"prompt": "kites", "assets": [{"url": url}]}), 422, "request.invalid")
    assert problem["errors"][0]["pointer"].startswith("/assets/0")
    assert "secret" not in json.dumps(problem)


def test_the_limits_themselves_are_taken(service: Service) -> None:
    """The largest request that the rules allow is accepted, and is what comes back."""
    url = "https://a.example/" + "x" * (2048 - 18)
    full = {
        "prompt": "文" * 8000,
        "assets": [{"url": url}] * 20,
        "tags": [f"{n:064}" for n in range(20)],
        "external_ref": "r" * 200,
        "revision": 2**53 - 1,
        "metadata": {"a": "\\u0000 is text here", "n": 10**30, "deep": [[[[[[[]]]]]]]},
    }
    answer = _post(service, full)
    assert answer.status_code == 202, answer.text
    kept = answer.json()
    assert {name: kept[name] for name in full} == full


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "request.malformed"),
        (b"\xff\xfe", "application/json", 400, "request.malformed"),
        (b"[" * 100_000, "application/json", 400, "request.malformed"),
        (b'{"prompt": ' + b"9" * 5000 + b"}", "application/json", 400, "request.malformed"),
        (b"", "application/json", 422, "request.invalid"),
        (b"[]", "application/json", 422, "request.invalid"),
        (b"null", "application/json", 422, "request.invalid"),
        (b'{"prompt": "kites"}', "text/plain", 415, "request.media_type"),
        (b'{"prompt": "kites"}', "", 415, "request.media_type"),
        (b'{"prompt": "' + b"x" * 262_144 + b'"}', "application/json", 413, "request.too_large"),
    ],
)
def test_a_body_that_is_no_request_is_refused(
    service: Service, content: bytes, media_type: str, status: int, code: str
) -> None:
    """Whatever the bytes, the answer names what is wrong with the body as a whole."""
    headers = {"Content-Type": media_type} if media_type else {}
    _refused(service.first.post("/v1/renders", content=content, headers=headers), status, code)


def test_a_body_without_a_length_is_bounded_too(service: Service) -> None:
    """A body in chunks is refused at the same 256 KiB; the client, deaf while it sends, hears why each time."""
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    for _ in range(20):
        pieces = (b" " * 65_536 for _ in range(40))
        _refused(service.first.post("/v1/renders", content=pieces, headers=headers), 413, "request.too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "route.unknown"),
        ("GET", "/v1/renders/", 404, "route.unknown"),
        ("DELETE", "/v1/renders", 405, "route.method"),
        ("GET", "/v1/renders/rnd_00000000000000000000000000", 404, "render.unknown"),
        ("GET", "/v1/renders/rnd_0000000000000000000000000%00", 404, "render.unknown"),
        ("GET", "/v1/renders/%F0%9F%AA%81", 404, "render.unknown"),
        ("POST", "/v1/renders/x/cancel", 404, "render.unknown"),
        ("GET", "/v1/renders?limit=0", 422, "request.invalid"),
        ("GET", "/v1/renders?limit=201", 422, "request.invalid"),
        ("GET", "/v1/renders?status=done", 422, "request.invalid"),
        ("GET", "/v1/renders?tag=%00", 422, "request.invalid"),
        ("GET", "/v1/renders?colour=b", 422, "request.invalid"),
        ("POST", "/v1/renders?dry_run=perhaps", 422, "request.invalid"),
        ("GET", "/v1/renders?cursor=%21", 422, "cursor.invalid"),
        ("GET", "/v1/renders?cursor=WzEsMl0", 422, "cursor.invalid"),
        ("GET", "/v1/renders?cursor=WyJhIiwiYiJd", 422, "cursor.invalid"),
        ("GET", "/v1/events?after=WyJhIiwiYiJd", 422, "cursor.invalid"),
        ("GET", "/v1/events?after=Wy0xLDBd", 422, "cursor.invalid"),
        ("GET", "/v1/events?after=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OSwwXQ", 422, "cursor.invalid"),
        ("GET", "/v1/recoveries?cursor=x", 422, "cursor.invalid"),
    ],
)
def test_an_address_that_is_not_there_or_not_so(
    service: Service, method: str, path: str, status: int, code: str
) -> None:
    """Unknown addresses, methods, ids, parameters and cursors each have their own answer."""
    headers = {"Content-Type": "application/json"} if method == "POST" else {}
    content = b'{"prompt": "kites"}' if method == "POST" else None
    _refused(service.first.request(method, path, content=content, headers=headers), status, code)


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("PATCH", "", {}, "/"),
        ("PATCH", "", {"priority": None}, "/"),
        ("PATCH", "", {"priority": "urgent"}, "/priority"),
        ("PATCH", "", {"metadata": DEEP}, "/metadata"),
        ("PATCH", "", {"metadata": {"a": "b\0"}}, "/metadata"),
        ("PATCH", "", {"metadata": {"a": "\ud800"}}, "/metadata"),
        ("PATCH", "", {"priority": "low", "prompt": "another"}, "/prompt"),
        ("PATCH", "", {"priority": "low", "status": "succeeded"}, "/status"),
        ("PATCH", "", [], "/"),
        ("POST", "/retry", {"force": "yes"}, "/force"),
        ("POST", "/retry", {"force": 1}, "/force"),
        ("POST", "/retry", {"force": None}, "/force"),
        ("POST", "/retry", {"prompt": "another"}, "/prompt"),
        ("POST", "/retry", [], "/"),
    ],
)
def test_a_wrong_change_is_named(service: Service, method: str, path: str, body: object, pointer: str) -> None:
    """What cannot be changed and what is no answer to `force` is refused with a pointer; the render stays as it is."""
    at = f"/v1/renders/{service.make()['id']}"
    before = service.first.get(at).json()
    headers = {"Content-Type": "application/json"}
    problem = _refused(
        service.first.request(method, at + path, content=json.dumps(body).encode(), headers=headers),
        422,
        "request.invalid",
    )
    assert pointer in {error["pointer"] for error in problem["errors"]}
    assert service.first.get(at).json() | {"eta": None} == before | {"eta": None}


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/usage?after=yesterday", "?after"),
        ("/v1/usage?after=2026-01-01", "?after"),
        ("/v1/usage?after=1767225600", "?after"),
        ("/v1/usage?after=2026-02-01T00:00:00Z&before=2026-01-01T00:00:00Z", "?after"),
        ("/v1/usage?after=2000-01-01T00:00:00Z", "?after"),
        ("/v1/usage?before=9999-12-31T23:59:59-14:00", "?before"),
        ("/v1/usage?by=week", "?by"),
        ("/v1/usage?by=day&by=day", "?by"),
        ("/v1/accounts?owner=other", "?owner"),
        ("/v1/key?key=other", "?key"),
        ("/v1/credits?account=x", "?account"),
        ("/v1/recoveries?limit=0", "?limit"),
        (f"/v1/renders/rnd_{'0' * 26}?fields=id", "?fields"),
        (f"/v1/renders/rnd_{'0' * 26}/timeline?format=xml", "?format"),
    ],
)
def test_a_wrong_parameter_is_named(service: Service, path: str, pointer: str) -> None:
    """422 with the parameter's name; one that an address does not have is not passed over."""
    problem = _refused(service.first.get(path), 422, "request.invalid")
    assert pointer in {error["pointer"] for error in problem["errors"]}


@pytest.mark.parametrize("after", ["-1", "x", "2147483648", "1.5"])
def test_a_place_in_a_stream_must_be_a_number(service: Service, after: str) -> None:
    """`Last-Event-ID` and `after` outside the numbers there can be are refused, not passed to the database."""
    at = f"/v1/renders/rnd_{'0' * 26}/events"
    _refused(service.first.get(at, params={"after": after}), 422, "request.invalid")
    _refused(service.first.get(at, headers={"Last-Event-ID": after}), 422, "request.invalid")


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "request:mine", "ключ".encode()])
def test_an_unusable_idempotency_key_is_refused(service: Service, key: str | bytes) -> None:
    """A key that cannot be kept exactly is not taken for another one."""
    answer = service.first.post("/v1/renders", json={"prompt": "kites"}, headers={"Idempotency-Key": key})
    _refused(answer, 422, "idempotency.invalid")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "auth.missing"),
        ("Basic dXNlcjpwYXNz", "auth.missing"),
        ("Bearer", "auth.missing"),
        ("Bearer vv_wrong", "auth.invalid"),
        ("Bearer nmv_usr_token", "auth.invalid"),
        ("Bearer vv_" + "x" * 300, "auth.invalid"),
        (b"Bearer vv_\xff\xfe", "auth.invalid"),
    ],
)
@pytest.mark.parametrize(
    "path", ["/v1/renders", "/v1/events", "/v1/credits", "/v1/recoveries", f"/v1/renders/rnd_{'0' * 26}/video"]
)
def test_without_a_valid_key_nothing_is_shown(
    service: Service, path: str, header: str | bytes | None, code: str
) -> None:
    """401 with a challenge, on every address that belongs to an owner."""
    answer = service.nobody.get(path, headers={"Authorization": header} if header else {})
    _refused(answer, 401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_stops_working(service: Service) -> None:
    """Within the few seconds a key is remembered, its revocation takes effect."""
    from sqlalchemy import func, update

    from tests.api.service import until
    from worker.owners import store
    from worker.owners.models import ApiKey

    key = service.write(lambda session: store.new_key(session, store.owner(session, "default").id, "short-lived"))
    headers = {"Authorization": f"Bearer {key}"}
    assert service.nobody.get("/v1/credits", headers=headers).status_code == 200
    where = ApiKey.hash == store.key_hash(key)
    with service.session() as session:
        used = session.query(ApiKey).where(where).one().last_used_at
    assert used is not None
    service.write(lambda session: session.execute(update(ApiKey).where(where).values(revoked_at=func.now())))
    until(lambda: service.nobody.get("/v1/credits", headers=headers).status_code == 401, patience=8)


def test_bytes_that_are_no_http_do_not_stop_the_service(service: Service) -> None:
    """Raw garbage, and a target that is no UTF-8, leave the next request unharmed."""
    for raw in (b"\x16\x03\x01\x02\x00", b"GET /v1/renders/%ff%fe?tag=%ff HTTP/1.1\r\nHost: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            assert b" 500 " not in connection.recv(4096)[:40]
    assert service.nobody.get("/livez").json() == {"alive": True}


def test_answers_carry_ids_and_security_headers(service: Service) -> None:
    """A caller's own request id is kept when it is harmless; every answer forbids sniffing, framing and scripts."""
    answer = service.nobody.get("/livez", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert service.nobody.get("/livez", headers={"X-Request-Id": "a b"}).headers["x-request-id"].startswith("req_")


def test_the_catalogue_and_the_reference_show_every_code_and_address(service: Service) -> None:
    """Each problem's `type` leads to an anchor that exists; each address is described; no page needs a script."""
    errors = service.nobody.get("/docs/errors")
    assert errors.headers["content-type"].startswith("text/html")
    assert all(f'id="{code}"' in errors.text for code in KINDS)
    document = service.nobody.get("/openapi.json").json()
    docs = service.nobody.get("/docs").text
    assert all(path in docs for path in document["paths"])
    assert "422" in document["paths"]["/v1/renders"]["post"]["responses"]
    for page in ("/", "/docs", "/docs/errors"):
        text = service.nobody.get(page).text
        assert "<script" not in text
        assert "style=" not in text
    assert service.nobody.get("/assets/style.css").headers["content-type"].startswith("text/css")


def test_no_request_of_these_was_a_fault(service: Service) -> None:
    """After everything above, the log holds not one unexpected fault."""
    assert "request.fault" not in service.log
