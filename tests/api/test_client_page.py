"""The examples that people copy: those in Python run as they stand, and the tables name what there is."""

import hashlib
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

import api.client
from api.cli.reporting import Exit
from api.client import Client
from tests.api import working
from tests.api.service import FIRST_KEY, Service
from worker.media.storage import open_storage
from worker.renders.models import Render

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()
EXAMPLES = [
    (page, block)
    for page in ("docs/client.md", "docs/webhook-endpoints.md", "api/client/README.md")
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
]
VIDEO = b"a video as far as these tests go"


def _end_whatever_comes(service: Service, over: threading.Event) -> None:
    """What workers would do: every queued render of the examples succeeds."""
    store = open_storage((service.home / "results").as_uri())
    store.put_bytes("renders/page.mp4", VIDEO)
    sha256 = hashlib.sha256(VIDEO).hexdigest()
    waiting = select(Render.id).where(Render.external_ref == "sku-1", Render.finished_at.is_(None))

    def end(session: Any, render_id: str) -> None:
        held = working.claimed(session, render_id)
        working.with_result(session, held, key="renders/page.mp4", size=len(VIDEO), sha256=sha256)
        working.finished(session, held)

    while not over.wait(0.05):
        with service.session() as session:
            found = session.scalars(waiting).all()
        for render_id in found:
            service.write(lambda session, render_id=render_id: end(session, render_id))


@pytest.mark.parametrize(("page", "example"), EXAMPLES)
def test_the_examples_run(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, example: str
) -> None:
    """With another address and key they do what the page says; the first of each page leaves the video."""
    Image.new("RGB", (32, 32)).save(tmp_path / "shoe.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "vivideo_client", api.client)
    here = example.replace("http://127.0.0.1:8000", service.url).replace("vv_…", FIRST_KEY)
    over = threading.Event()
    working_thread = threading.Thread(target=_end_whatever_comes, args=(service, over))
    working_thread.start()
    try:
        exec(compile(here, page, "exec"), {})  # noqa: S102 - our own pages
    finally:
        over.set()
        working_thread.join()
    assert ("shoe.mp4" in example) == (tmp_path / "shoe.mp4").exists()


def test_the_page_names_every_call_and_every_exit_status() -> None:
    """A call or a status that is added is added to the page."""
    calls = {name for name in dir(Client) if not name.startswith("_")} - {"close"}
    assert calls - set(re.findall(r"`([a-z_]+)`", PAGE)) == set()
    assert {int(status) for status in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)} == set(Exit)


def test_what_the_page_says_of_a_webhook_holds() -> None:
    """Its example refuses what was not signed."""
    (example,) = [block for _, block in EXAMPLES if "def receive" in block]
    names: dict[str, Any] = {}
    exec(compile(example.replace("vivideo_client", "api.client"), "page", "exec"), names)  # noqa: S102 - our own page
    assert names["receive"](b"{}", {}) == 401
