"""A render's files: whole and in part, only while they are there, and the timeline in three forms."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from api.client import ApiError, Damaged
from tests.api import working
from tests.api.service import Service
from worker.media.storage import open_storage

VIDEO = random.Random(7).randbytes(700_001)
SHA256 = hashlib.sha256(VIDEO).hexdigest()
DRAFT = {
    "d": 10_000,
    "t": [
        {"tt": 0, "sg": [{"s": 0, "d": 10_000, "m": {"name": "<city> & timelapse"}}]},
        {"tt": 1, "sg": [{"s": 0, "d": 10_000, "m": {"name": "Lo-fi", "volume": 0.35}}]},
        {"tt": 7, "sg": [{"s": 0, "d": 3_000, "m": {"text": "Urban Dreams"}}]},
    ],
}


@pytest.fixture(scope="module")
def finished(service: Service) -> dict[str, Any]:
    """A succeeded render whose file is in storage."""
    render_id = service.make()["id"]
    store = open_storage((service.home / "results").as_uri())
    store.put_bytes(f"renders/{render_id}/video.mp4", VIDEO)
    store.put_bytes(f"renders/{render_id}/poster.jpg", b"\xff\xd8 a poster")

    def end(session: Any) -> None:
        held = working.claimed(session, render_id)
        working.with_draft(session, held, json.dumps(DRAFT).encode())
        key = f"renders/{render_id}/video.mp4"
        poster = f"renders/{render_id}/poster.jpg"
        working.with_result(session, held, key=key, size=len(VIDEO), sha256=SHA256, poster=poster)
        working.finished(session, held, timeline="Timeline (3 tracks)")

    service.write(end)
    return service.first.get(f"/v1/renders/{render_id}").json()


def test_a_finished_render_tells_of_its_file(finished: dict[str, Any]) -> None:
    """Status, progress, the file's facts and the ways to it, and no storage key."""
    assert (finished["status"], finished["progress"], finished["eta"]) == ("succeeded", 1, None)
    at = finished["links"]["self"]
    assert finished["result"] == {
        "url": f"{at}/video",
        "sha256": SHA256,
        "bytes": len(VIDEO),
        "duration": 2.5,
        "width": 1080,
        "height": 1920,
        "codec": "h264",
        "poster": f"{at}/poster",
        "quality": None,
    }
    assert set(finished["links"]) == {"self", "events", "video", "poster", "timeline"}
    assert "storage" not in json.dumps(finished)


def test_the_whole_file_comes_back(service: Service, finished: dict[str, Any]) -> None:
    """200 with every byte, a length, a type, a name and an ETag that answers 304 next time; HEAD without the bytes."""
    url = finished["result"]["url"]
    answer = service.first.get(url)
    assert (answer.status_code, answer.content == VIDEO) == (200, True)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(VIDEO))
    assert f"{finished['id']}.mp4" in answer.headers["content-disposition"]
    head = service.first.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(VIDEO))
    assert head.headers["accept-ranges"] == "bytes"
    same = service.first.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    poster = service.first.get(finished["result"]["poster"])
    assert (poster.content, poster.headers["content-type"]) == (b"\xff\xd8 a poster", "image/jpeg")


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-299", 100, 300),
        ("bytes=300000-", 300_000, len(VIDEO)),
        ("bytes=-10", len(VIDEO) - 10, len(VIDEO)),
        ("bytes=-9999999", 0, len(VIDEO)),
        ("bytes=0-9999999", 0, len(VIDEO)),
        (f"bytes={len(VIDEO) - 1}-", len(VIDEO) - 1, len(VIDEO)),
    ],
)
def test_a_range_gives_those_bytes(
    service: Service, finished: dict[str, Any], header: str, start: int, end: int
) -> None:
    """206 with exactly the bytes asked for and their place."""
    answer = service.first.get(finished["result"]["url"], headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == VIDEO[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(VIDEO)}"


def test_ranges_that_cannot_be_or_do_not_count(service: Service, finished: dict[str, Any]) -> None:
    """Behind the end is 416 with the size; several ranges, other units and a stale If-Range give the whole file."""
    url = finished["result"]["url"]
    for header in (f"bytes={len(VIDEO)}-", "bytes=-0"):
        answer = service.first.get(url, headers={"Range": header})
        assert (answer.status_code, answer.json()["code"]) == (416, "range.unsatisfiable")
        assert answer.headers["content-range"] == f"bytes */{len(VIDEO)}"
    for headers in (
        {"Range": "bytes=0-1,4-5"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=5-2"},
        {"Range": "bytes=-"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
    ):
        assert service.first.get(url, headers=headers).status_code == 200
    current = {"Range": "bytes=0-1", "If-Range": f'"{SHA256}"'}
    assert service.first.get(url, headers=current).status_code == 206


def test_without_a_file_there_is_a_reason(service: Service) -> None:
    """A render under way has no video, poster or timeline yet: 409 each; a file gone from storage is 410."""
    at = service.make()["links"]["self"]
    for name in ("video", "poster", "timeline"):
        answer = service.first.get(f"{at}/{name}")
        assert (answer.status_code, answer.json()["code"]) == (409, f"render.no_{name}")

    def end(session: Any) -> None:
        held = working.claimed(session, at.rpartition("/")[2])
        working.with_result(session, held, key="renders/gone.mp4", size=3, sha256=SHA256)
        working.finished(session, held)

    service.write(end)
    for method in ("GET", "HEAD"):
        assert service.first.request(method, f"{at}/video").status_code == 410
    assert service.first.get(f"{at}/video").json()["code"] == "result.gone"


def test_a_timeline_is_text_data_and_a_picture(service: Service, finished: dict[str, Any]) -> None:
    """By Accept or by `format`, which outranks it; the picture is well-formed whatever the names hold."""
    at = finished["links"]["timeline"]
    text = service.first.get(at, headers={"Accept": "text/plain"})
    assert text.text.startswith("Timeline (3 tracks): 1. Video: <city> & timelapse (0-10s)")
    data = service.first.get(at).json()
    assert (data["duration"], len(data["tracks"])) == (10, 3)
    assert data["tracks"][2]["segments"] == [{"name": "Urban Dreams", "start": 0, "end": 3, "volume": None}]
    picture = service.first.get(at, params={"format": "svg"}, headers={"Accept": "text/plain"})
    assert picture.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(picture.text)
    assert "Urban Dreams" in "".join(root.itertext())
    assert "style=" not in picture.text


def test_the_client_downloads_only_what_is_whole(service: Service, finished: dict[str, Any], tmp_path: Path) -> None:
    """The file appears under its name with the right hash; a damaged one does not, and leaves no part behind."""
    with service.client as client:
        path = client.download_video(finished["id"], tmp_path / "out.mp4")
        assert path.read_bytes() == VIDEO
        render_id = service.make()["id"]
        with pytest.raises(ApiError) as refused:
            client.download_video(render_id, tmp_path / "none.mp4")
        assert refused.value.code == "render.no_video"

        def end(session: Any) -> None:
            held = working.claimed(session, render_id)
            key = f"renders/{finished['id']}/video.mp4"
            working.with_result(session, held, key=key, size=len(VIDEO), sha256="0" * 64)
            working.finished(session, held)

        service.write(end)
        with pytest.raises(Damaged):
            client.download_video(render_id, tmp_path / "damaged.mp4")
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]
