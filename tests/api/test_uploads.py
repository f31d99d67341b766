"""Uploads: streamed, typed by their content, bounded, and gone when they are cut."""

import hashlib
import io
import re
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.api.service import FIRST_KEY, Service, until
from worker.renders.models import Render, Upload


def _picture(format: str = "PNG", colour: str = "red") -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(held, format)
    return held.getvalue()


def _stored(service: Service) -> set[str]:
    """Every file on the disk, received in part or stored."""
    return {str(path.relative_to(service.home)) for path in service.home.rglob("*") if path.is_file()} - {"api.log"}


def _rows(service: Service) -> int:
    with service.session() as session:
        return session.query(Upload).count()


def test_a_raw_body_becomes_an_asset(service: Service) -> None:
    """The answer has the bytes' facts, and a render that names the upload keeps them, but shows no storage key."""
    picture = _picture()
    answer = service.first.post("/v1/uploads", params={"name": "../../red kite.png"}, content=picture)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["id"].startswith("upl_")
    assert (made["name"], made["media_type"], made["bytes"]) == ("red kite.png", "image/png", len(picture))
    assert made["sha256"] == hashlib.sha256(picture).hexdigest()
    render = service.make(assets=[{"upload": made["id"]}, {"url": "https://a.example/b.jpg"}])
    assert render["assets"] == [
        {"upload": made["id"], "name": "red kite.png", "media_type": "image/png", "bytes": len(picture)},
        {"url": "https://a.example/b.jpg"},
    ]
    with service.session() as session:
        kept = session.get_one(Render, render["id"]).assets[0]
        assert session.get_one(Upload, made["id"]).used_at is not None
    assert (service.home / "results" / kept["storage_key"]).read_bytes() == picture
    assert not list((service.home / "receiving").iterdir())


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("photo", "photo.jpg"),
        ("photo.JPEG", "photo.JPEG"),
        ("photo.png", "photo.png.jpg"),
        ("", "upload.jpg"),
        ("C:\\pictures\\ключ.jpg", "ключ.jpg"),
        ("a\r\nb\x00.jpg", "ab.jpg"),
        ("x" * 400 + ".jpg", "x" * 196 + ".jpg"),
    ],
)
def test_the_content_decides_not_the_name(service: Service, name: str, kept: str) -> None:
    """A name is cleaned of paths and control characters, and ends as its content says it should."""
    made = service.first.post("/v1/uploads", params={"name": name}, content=_picture("JPEG")).json()
    assert (made["name"], made["media_type"]) == (kept, "image/jpeg")


def test_a_multipart_form_gives_its_one_file(service: Service) -> None:
    """Other fields are skipped; the file's name comes from its part; two files are refused."""
    picture = _picture()
    answer = service.first.post("/v1/uploads", data={"note": "hello"}, files={"file": ("kite.png", picture)})
    assert (answer.status_code, answer.json()["name"]) == (201, "kite.png"), answer.text
    assert answer.json()["sha256"] == hashlib.sha256(picture).hexdigest()
    before = _stored(service), _rows(service)
    both = [("file", ("a.png", picture)), ("file", ("b.png", picture))]
    for bad in (
        service.first.post("/v1/uploads", files=both),
        service.first.post("/v1/uploads", files={"note": (None, "no file")}),
        service.first.post("/v1/uploads", content=picture, headers={"Content-Type": "multipart/form-data"}),
        service.first.post("/v1/uploads", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=b"}),
    ):
        assert (bad.status_code, bad.json()["code"]) == (400, "upload.malformed")
    whole = httpx.Request("POST", "http://x", files={"file": ("kite.png", picture)})
    cut = service.first.post(
        "/v1/uploads", content=whole.read()[:-10], headers={"Content-Type": whole.headers["content-type"]}
    )
    assert (cut.status_code, cut.json()["code"]) == (400, "upload.cut")
    assert (_stored(service), _rows(service)) == before


def test_refusals_say_what_to_do(service: Service) -> None:
    """A wrong format is answered with the accepted ones, a large file with the limit; neither leaves anything."""
    before = _stored(service), _rows(service)
    text = service.first.post("/v1/uploads", params={"name": "a.png"}, content=b"%PDF-1.7 not a picture" * 500)
    assert (text.status_code, text.json()["code"]) == (415, "upload.format")
    assert all(format in text.json()["detail"] for format in ("mp4", "webp", "aac"))
    empty = service.first.post("/v1/uploads", content=b"")
    assert (empty.status_code, empty.json()["code"]) == (422, "upload.empty")
    assert service.nobody.post("/v1/uploads", content=_picture()).status_code == 401
    assert (_stored(service), _rows(service)) == before


@pytest.mark.parametrize("announced", [True, False])
def test_more_than_200_megabytes_are_refused(service: Service, announced: bool) -> None:
    """With a length the refusal comes before the body, without one as soon as the limit is passed; nothing stays."""
    before = _stored(service), _rows(service)
    head = _picture()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        length = "Content-Length: 200000001" if announced else "Transfer-Encoding: chunked"
        connection.sendall(_head(service, length))
        if not announced:
            _send_chunks(connection, head, 200_000_001 - len(head))
        answer = connection.recv(65_536).decode()
    assert answer.startswith("HTTP/1.1 413")
    assert "compress" in answer
    until(lambda: (_stored(service), _rows(service)) == before)


def _head(service: Service, length: str) -> bytes:
    return (
        f"POST /v1/uploads?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n"
        f"Authorization: Bearer {FIRST_KEY}\r\n{length}\r\n\r\n"
    ).encode()


def _send_chunks(connection: socket.socket, head: bytes, zeros: int) -> None:
    chunk = b"%x\r\n%s\r\n" % (1_000_000, bytes(1_000_000))
    try:
        connection.sendall(b"%x\r\n%s\r\n" % (len(head), head))
        for _ in range(zeros // 1_000_000 + 1):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
    except OSError:
        pass  # refused already: the answer can still be read


def test_a_large_upload_does_not_sit_in_memory(service: Service) -> None:
    """While 150 MB pass through, the service grows by a few megabytes only."""
    before = _memory(service)
    peak = [before]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], _memory(service))

    watcher = threading.Thread(target=watch)
    watcher.start()
    head = _picture()
    block = bytes(1_000_000)
    body = (head if number == 0 else block for number in range(151))
    try:
        answer = service.first.post("/v1/uploads", params={"name": "long.png"}, content=body)
    finally:
        over.set()
        watcher.join()
    assert answer.status_code == 201, answer.text
    assert answer.json()["bytes"] == len(head) + 150_000_000
    assert peak[0] - before < 60_000_000, f"{(peak[0] - before) / 1e6:.0f} MB more"


def _memory(service: Service) -> int:
    """Resident bytes of the service's largest process."""
    sizes = []
    for pid in service.pids():
        found = re.search(r"VmRSS:\s+(\d+) kB", (service.proc / str(pid) / "status").read_text())
        sizes.append(int(found[1]) * 1000 if found else 0)
    return max(sizes)


@pytest.mark.parametrize("kind", ["raw", "chunked"])
def test_a_cut_upload_leaves_nothing(service: Service, kind: str) -> None:
    """A connection that breaks in the middle leaves neither a row nor a file, not even a temporary one."""
    before = _stored(service), _rows(service)
    picture = _picture() + bytes(3_000_000)
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        if kind == "raw":
            connection.sendall(_head(service, f"Content-Length: {len(picture)}") + picture[:2_000_000])
        else:
            connection.sendall(_head(service, "Transfer-Encoding: chunked"))
            connection.sendall(b"%x\r\n%s\r\n" % (2_000_000, picture[:2_000_000]))
        until(lambda: _stored(service) != before[0])  # it is being received
    until(lambda: (_stored(service), _rows(service)) == before)


def test_a_repeated_key_finds_the_same_upload(service: Service) -> None:
    """The same file under the same key is stored once; another file under it is refused and not stored."""
    headers = {"Idempotency-Key": "upload-1"}
    first = service.first.post("/v1/uploads", content=_picture(), headers=headers).json()
    before = _stored(service)
    assert service.first.post("/v1/uploads", content=_picture(), headers=headers).json() == first
    other = service.first.post("/v1/uploads", content=_picture(colour="blue"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    assert _stored(service) == before


def test_another_owners_upload_cannot_be_used(service: Service) -> None:
    """It is as good as none: 422 that names the asset."""
    made = service.first.post("/v1/uploads", content=_picture()).json()
    body = {"prompt": "kites", "assets": [{"url": "https://a.example/1.jpg"}, {"upload": made["id"]}]}
    answer = service.second.post("/v1/renders", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "upload.unknown")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/assets/1/upload"]


def test_the_client_uploads_with_progress(service: Service, tmp_path: Path) -> None:
    """`upload` sends a file by its name, tells how far it is, and returns the service's facts."""
    path = tmp_path / "kite.png"
    path.write_bytes(_picture() + bytes(700_000))
    told: list[Any] = []
    with service.client as client:
        made = client.upload(path, lambda done, size: told.append((done, size)))
    assert (made.name, made.bytes) == ("kite.png", path.stat().st_size)
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    assert len(told) == 3
