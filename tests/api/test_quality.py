"""What was asked of a video's quality, and what was found, over HTTP and at the command line."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from api.client import Expected
from tests.api import working
from tests.api.service import Service
from worker.failures import RESULT_QUALITY
from worker.media.quality.asked import Asked
from worker.media.quality.report import Check, Report
from worker.media.storage import open_storage
from worker.renders.states import Status

VIDEO = b"a video as far as these tests go"
REPORT = Report(
    (Check("black", "flagged", "black for 2.5 s of 9.8 s", [(3.1, 5.6)]), Check("length", "passed", "9.8 s"))
)
NOTHING = {"duration_seconds": None, "aspect": None, "silent": False}


def ended(service: Service, status: Status, report: Report | None = REPORT) -> str:
    """A render that ended so with a stored video; its id."""
    render_id = service.make()["id"]
    key = f"renders/{render_id}/video.mp4"
    open_storage((service.home / "results").as_uri()).put_bytes(key, VIDEO)

    def work(session: Any) -> None:
        held = working.claimed(session, render_id)
        quality = report.as_json() if report else None
        sha256 = hashlib.sha256(VIDEO).hexdigest()
        working.with_result(session, held, key=key, size=len(VIDEO), sha256=sha256, quality=quality)
        why = {"charge_state": "incurred", "charge_credits": 100} if status is Status.FAILED else {}
        if status is Status.FAILED:
            why |= {"error_code": RESULT_QUALITY.code, "error_message": RESULT_QUALITY.message}
            why |= {"error_help": RESULT_QUALITY.help, "error_retryable": True}
        working.finished(session, held, status, **why)

    service.write(work)
    return render_id


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"prompt": "a 30-second vertical video"}, NOTHING | {"duration_seconds": 30.0, "aspect": "portrait"}),
        ({"prompt": "a kite"}, None),
        ({"prompt": "a 30-second video", "expect": {}}, NOTHING),
        ({"prompt": "a 30-second video", "expect": {"aspect": "9:16"}}, NOTHING | {"aspect": "9:16"}),
        ({"prompt": "a 30-second video", "expect": None, "quality_gate": "off"}, NOTHING | {"duration_seconds": 30.0}),
    ],
)
def test_what_a_video_will_be_compared_with_is_shown(
    service: Service, asked: dict[str, Any], kept: dict[str, Any] | None
) -> None:
    """As given, else as the prompt plainly says: by the dry run and by the render, which keeps it."""
    gate = asked.get("quality_gate", "report")
    rehearsed = service.first.post("/v1/renders?dry_run=true", json=asked).json()["render"]
    made = service.first.post("/v1/renders", json=asked).json()
    for one in (rehearsed, made, service.first.get(made["links"]["self"]).json()):
        assert (one["quality_gate"], one["expect"]) == (gate, kept)


def test_a_template_is_held_to_its_own_words(service: Service) -> None:
    """And to the numbers that fill it, by renders and batches; of the texts put in, only to a wish for silence."""
    content = {
        "name": "timed",
        "prompt": "create a {{ seconds }}-second video about {{ title }}",
        "variables": {"seconds": {"type": "number", "default": 8}, "title": {}},
    }
    assert service.first.post("/v1/templates", json=content).status_code == 201
    title = "soup. Make a 5-minute vertical video without sound"
    asked = {"template": "timed", "variables": {"title": title}}
    kept = NOTHING | {"duration_seconds": 8.0, "silent": True}
    assert service.first.post("/v1/renders?dry_run=true", json=asked).json()["render"]["expect"] == kept
    assert service.first.post("/v1/renders", json=asked).json()["expect"] == kept
    items = [asked | {"expect": {"aspect": "1:1"}}, asked]
    batch = service.first.post("/v1/batches", json={"items": items}).json()
    made = service.first.get(f"/v1/batches/{batch['id']}/items").json()["data"]
    found = [service.first.get(f"/v1/renders/{one['id']}").json()["expect"] for one in made]
    assert found == [NOTHING | {"aspect": "1:1"}, kept]


def test_a_failed_render_with_a_video_gives_it(service: Service) -> None:
    """The video is there with what was found, the charge stays, and only `force` makes another one."""
    at = f"/v1/renders/{ended(service, Status.FAILED)}"
    found = service.first.get(at).json()
    assert (found["status"], found["error"]["code"]) == ("failed", "result.quality")
    assert found["charge"] == {"state": "incurred", "credits": 100}
    assert found["result"]["quality"] == REPORT.as_json()
    assert service.first.get(found["links"]["video"]).content == VIDEO
    assert service.first.post(f"{at}/retry").json()["code"] == "render.force_needed"
    again = service.first.post(f"{at}/retry", json={"force": True}).json()
    assert (again["run"], again["stage"], again["result"], "video" in again["links"]) == (2, "token", None, False)


def test_the_client_knows_the_fields(service: Service) -> None:
    """What was asked and found, as models."""
    with service.client as client:
        made = client.create_render("a kite", quality_gate="fail", expect={"duration_seconds": 9.5, "aspect": "9:16"})
        assert (made.quality_gate, made.expect) == ("fail", Expected(duration_seconds=9.5, aspect="9:16", silent=False))
        result = client.render(ended(service, Status.SUCCEEDED)).result
        assert result is not None
        assert result.quality is not None
        assert [(one.check, one.stretches) for one in result.quality.flagged] == [("black", [(3.1, 5.6)])]
        unseen = client.render(ended(service, Status.SUCCEEDED, report=None)).result
        assert unseen is not None
        assert unseen.quality is None


def test_the_command_line_says_what_to_look_at(service: Service, run: Any, tmp_path: Path) -> None:
    """Below the file's line, and below the error's with the way to the video and to another one."""
    line = "look at it: black: black for 2.5 s of 9.8 s"
    delivered = run("render", "watch", ended(service, Status.SUCCEEDED), "-o", "out.mp4")
    assert (delivered.returncode, line in delivered.stdout) == (0, True), delivered
    render_id = ended(service, Status.FAILED)
    failed = run("render", "watch", render_id, COLUMNS="300")
    assert (failed.returncode, line in failed.stdout) == (1, True), failed
    assert f"vivideo render get {render_id} -o" in failed.stdout
    assert f"vivideo render retry {render_id} --force" in failed.stdout
    assert "black: black for 2.5 s" in run("render", "get", render_id).stdout
    assert run("render", "get", render_id, "-o", "bad.mp4").returncode == 0
    assert (tmp_path / "bad.mp4").read_bytes() == VIDEO
    made = run("render", "create", "a kite", "--quality", "fail", "--no-wait", "--json")
    assert '"quality_gate": "fail"' in made.stdout


def test_what_a_render_keeps_is_read_back_as_it_was() -> None:
    """Nothing asked for is nothing kept; what an older or another writer left out was not asked for."""
    assert Asked().as_json() is None
    assert Asked.from_json(None) == Asked.from_json({}) == Asked()
    assert Asked.from_json({"aspect": "1:1"}) == Asked(aspect="1:1")
