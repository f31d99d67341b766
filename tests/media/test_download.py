"""A download is whole, hashed and anonymous, or it is not there."""

import gzip
import hashlib
import logging
import socket
import traceback
from pathlib import Path

import httpx
import pytest

from tests.media.servers import Said, answer, serving
from worker.media.download import DownloadFailed, download, save

BODY = bytes(range(256)) * 4000  # a little over 1 MB
SIGNATURE = "X-Amz-Signature=deadbeef"


@pytest.fixture
def server():
    with serving() as said:
        yield said


def failure(server: Said, into: Path, path: str, **options) -> DownloadFailed:
    """Download and expect it to fail, to leave nothing behind, and to keep the signature to itself."""
    with pytest.raises(DownloadFailed) as failed:
        download(server.url(f"{path}?{SIGNATURE}"), into, **{"max_bytes": 10**8, "read_seconds": 5, **options})
    assert not list(into.iterdir() if into.exists() else ())
    assert "deadbeef" not in "".join(traceback.format_exception(failed.value)) + repr(failed.value)
    return failed.value


def test_a_whole_file_arrives(server, tmp_path):
    """The bytes, their number, their hash and their type by content; named by the hash, no other file left."""
    mp4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + BODY
    server.answers["/v"] = answer(body=mp4, Content_Length=len(mp4), Content_Type="binary/octet-stream")
    got = download(server.url("/v"), tmp_path / "new", max_bytes=len(mp4))
    digest = hashlib.sha256(mp4).hexdigest()
    assert (got.bytes, got.sha256, got.media_type) == (len(mp4), digest, "video/mp4")
    assert got.path.read_bytes() == mp4
    assert list((tmp_path / "new").iterdir()) == [got.path]


def test_the_stated_type_counts_where_content_tells_none(server, tmp_path):
    """An unknown content has the type that the server states, without parameters, or the general one."""
    server.answers["/a"] = answer(body=b"x,y\n", Content_Length=4, Content_Type="text/CSV; charset=utf-8")
    server.answers["/b"] = answer(body=b"x", Content_Length=1)
    assert download(server.url("/a"), tmp_path, max_bytes=9).media_type == "text/csv"
    assert download(server.url("/b"), tmp_path, max_bytes=9).media_type == "application/octet-stream"


def test_a_body_cut_short_is_a_failure(server, tmp_path):
    """Fewer bytes than stated, and chunks without an end, are not taken for the file."""
    server.answers["/length"] = answer(body=BODY[:-1], Content_Length=len(BODY))
    server.answers["/chunks"] = answer(body=b"5\r\nhello\r\n", Transfer_Encoding="chunked")
    for path in ("/length", "/chunks"):
        failed = failure(server, tmp_path, path)
        assert failed.reason == "cut"
        assert failed.passing


def test_a_length_that_contradicts_the_chunks_is_a_failure(server, tmp_path):
    """Chunks that end properly, but with fewer bytes than the stated length (a proxy that cut and re-chunked)."""
    server.answers["/v"] = answer(body=b"5\r\nhello\r\n0\r\n\r\n", Content_Length=99, Transfer_Encoding="chunked")
    assert failure(server, tmp_path, "/v").reason == "length"


def test_a_compressed_body_cut_short_is_a_failure(server, tmp_path):
    """A server that compresses unasked is understood, and its stated length still counts."""
    packed = gzip.compress(BODY)
    server.answers["/gzip"] = answer(body=packed, Content_Length=len(packed), Content_Encoding="gzip")
    server.answers["/cut"] = answer(body=packed[:-9], Content_Length=len(packed), Content_Encoding="gzip")
    server.answers["/lie"] = answer(body=b"not gzip", Content_Length=8, Content_Encoding="gzip")
    assert download(server.url("/gzip"), tmp_path / "whole", max_bytes=len(BODY)).bytes == len(BODY)
    assert failure(server, tmp_path / "cut", "/cut").reason == "cut"
    assert failure(server, tmp_path / "cut", "/lie").reason == "encoding"


def test_a_size_beyond_the_limit_is_refused(server, tmp_path):
    """Stated, it is refused unread; unstated or unpacked, as soon as the limit is passed."""
    packed = gzip.compress(BODY)
    server.answers["/stated"] = answer(Content_Length=10**12)
    server.answers["/silent"] = answer(body=BODY)
    server.answers["/bomb"] = answer(body=packed, Content_Length=len(packed), Content_Encoding="gzip")
    for path in ("/stated", "/silent", "/bomb"):
        failed = failure(server, tmp_path, path, max_bytes=len(packed) + 1)
        assert failed.reason == "too_large"
        assert not failed.passing


def test_an_empty_body_is_a_failure(server, tmp_path):
    """200 with nothing in it is no result."""
    server.answers["/v"] = answer(Content_Length=0)
    assert failure(server, tmp_path, "/v").reason == "empty"


@pytest.mark.parametrize(("status", "passing"), [(403, False), (404, False), (206, False), (429, True), (503, True)])
def test_another_status_is_a_failure_that_names_it(server, tmp_path, status, passing):
    """An error page is never stored as a video; the status says whether asking again makes sense."""
    server.answers["/v"] = answer(f"{status} Some", b"<html>", Content_Length=6)
    failed = failure(server, tmp_path, "/v")
    assert (failed.reason, failed.status, failed.passing) == ("status", status, passing)
    assert str(failed) == f"download from 127.0.0.1 failed: status {status}"


def test_silence_and_dripping_end(server, tmp_path):
    """A server that says nothing more, and one that says a byte now and then, are both given up."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not server.stopping.wait(0.02):
            connection.sendall(b"x" * 20_000)

    def silent(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxx")
        server.stopping.wait(30)

    server.answers |= {"/drip": drip, "/silent": silent}
    assert failure(server, tmp_path, "/silent", read_seconds=0.2).reason == "timeout"
    assert failure(server, tmp_path, "/drip", read_seconds=5, total_seconds=0.3).reason == "timeout"


def test_nobody_there(tmp_path):
    """A refused connection is a passing failure."""
    with socket.socket() as bound:  # bound and not listening: surely refused
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(DownloadFailed) as failed:
            download(f"http://127.0.0.1:{bound.getsockname()[1]}/v", tmp_path, max_bytes=9)
    assert (failed.value.reason, failed.value.passing) == ("unreachable", True)


def test_redirects_are_followed_five_times(server, tmp_path):
    """Five hops arrive, a sixth does not; relative ones and those to another host work."""
    with serving("127.0.0.2") as other:
        other.answers["/v"] = answer(body=b"abc", Content_Length=3)
        server.answers["/1"] = answer("302 Found", Location=other.url("/v"), Content_Length=0)
        for hop in range(2, 7):
            server.answers[f"/{hop}"] = answer("307 Temporary Redirect", Location=f"/{hop - 1}", Content_Length=0)
        assert download(server.url("/5"), tmp_path / "five", max_bytes=9).bytes == 3
        assert failure(server, tmp_path / "six", "/6").reason == "redirects"


def test_redirects_lead_to_the_web_only(server, tmp_path):
    """Neither a file nor an address with a password is followed to."""
    for to in ("file:///etc/passwd", "ftp://127.0.0.1/v", f"http://user:word@127.0.0.1:1/v?{SIGNATURE}"):
        server.answers["/v"] = answer("302 Found", Location=to, Content_Length=0)
        assert failure(server, tmp_path, "/v").reason == "address"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/v", "v.mp4", "", "http://", "http://a:b@127.0.0.1/"])
def test_other_addresses_are_refused(tmp_path, url):
    """Only http and https with a host and without a password."""
    with pytest.raises(DownloadFailed) as failed:
        download(url, tmp_path, max_bytes=9)
    assert failed.value.reason == "address"


def test_no_token_and_no_attribution_are_sent(server, tmp_path):
    """What reaches the server has neither, on a redirect too; asking for them is refused before anything is sent."""
    server.answers["/r"] = answer("302 Found", Location="/v", Content_Length=0)
    server.answers["/v"] = answer(body=b"abc", Content_Length=3)
    download(server.url("/r"), tmp_path, max_bytes=9, headers={"X-Trace": "1"})
    assert len(server.heads) == 2
    for head in server.heads:
        assert "authorization" not in head.lower()
        assert "x-skill" not in head.lower()
        assert "X-Trace: 1" in head
    for name in ("Authorization", "X-Skill-Source", "x-skill-platform", "X-Client-Id", "Cookie"):
        with pytest.raises(ValueError, match=name):
            download(server.url("/v"), tmp_path, max_bytes=9, headers={name: "secret"})
    assert len(server.heads) == 2


def test_an_open_response_is_saved_the_same_way(server, tmp_path):
    """The fallback call's answer, asked for with a token by another client, is kept or refused likewise."""
    server.answers["/ok"] = answer(body=BODY, Content_Length=len(BODY))
    server.answers["/cut"] = answer(body=BODY[:-5], Content_Length=len(BODY))
    headers = {"Authorization": "Bearer nmv_usr_x"}
    with httpx.stream("GET", server.url("/ok"), headers=headers) as response:
        assert save(response, tmp_path / "ok", max_bytes=10**8).sha256 == hashlib.sha256(BODY).hexdigest()
    with httpx.stream("GET", server.url("/cut"), headers=headers) as response:
        with pytest.raises(DownloadFailed) as failed:
            save(response, tmp_path / "cut", max_bytes=10**8)
        assert failed.value.reason == "cut"
    assert not list((tmp_path / "cut").iterdir())


def test_a_place_that_cannot_be_written_is_a_failure(server, tmp_path):
    """Where the directory cannot be made, the failure says that it is this machine's."""
    server.answers["/v"] = answer(body=b"abc", Content_Length=3)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadFailed) as failed:
        download(server.url("/v"), tmp_path / "file", max_bytes=9)
    assert failed.value.reason == "disk"


def test_our_logs_name_no_address(server, tmp_path, caplog):
    """Nothing of a signed address is logged by this module at any level (the HTTP library's own lines are set to
    warnings by the service's logging)."""
    server.answers["/v"] = answer("403 Forbidden", Content_Length=0)
    with caplog.at_level(logging.DEBUG, "worker"):
        failure(server, tmp_path, "/v")
    assert not [record for record in caplog.records if record.name.startswith("worker")]
