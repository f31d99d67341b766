"""A video is sent to any address, signed so that the published library accepts it."""

from collections.abc import Callable
from urllib.parse import unquote

import pytest

from tests.publishing.conftest import asked, at_address, published, settled, the
from tests.publishing.receiver_standin import Receiver
from tests.publishing.standin import Reply
from worker.publishing.driving import Tools

Make = Callable[..., str]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_bytes_arrive_signed(receiver: Receiver, tools: Tools, render: Make, video: bytes, method: str):
    """With what they are, whose they are and a length; the receiver verifies each request."""
    made = render(external_ref="Lampe №7")
    publication = asked(at_address(receiver, method=method), made, ref="Lampe №7/a")
    settled(tools)
    published(publication)
    assert receiver.kept == {publication: video}
    [request] = receiver.requests
    assert (request.method, request.path) == (method, "/videos")
    told = request.headers
    assert (told["content-type"], told["vivideo-render"]) == ("video/mp4", made)
    assert (unquote(told["vivideo-ref"]), unquote(told["vivideo-external-ref"])) == ("Lampe №7/a", "Lampe №7")


def test_the_published_library_verifies_it_whole(receiver: Receiver, tools: Tools, render: Make):
    """It takes bodies that are text: this one is."""
    publication = asked(at_address(receiver), render(content=b"a film as text, " * 100_000))
    settled(tools)
    published(publication)
    assert len(receiver.kept[publication]) == 1_600_000


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("reply", [None, Reply(503, b"")], ids=str)
def test_a_lost_answer_is_told_by_the_id(
    receiver: Receiver, tools: Tools, render: Make, before: bool, reply: Reply | None
):
    """It comes again under the same one."""
    receiver.fails("POST", reply, before=before)
    publication = asked(at_address(receiver), render())
    settled(tools)
    published(publication)
    assert list(receiver.kept) == [publication]


@pytest.mark.parametrize(
    ("status", "code"),
    [(410, "publish.rejected"), (302, "publish.rejected"), (413, "publish.rejected")],
)
def test_what_a_receiver_does_not_want_is_given_up(
    receiver: Receiver, tools: Tools, render: Make, status: int, code: str
):
    """A redirect is not followed: the video would go to somebody who was not asked for."""
    receiver.fails("POST", Reply(status, b"no\x00\x07 thanks", {"Location": "https://x.example/"}), before=True)
    publication = asked(at_address(receiver), render())
    settled(tools)
    row = the(publication)
    assert (row.error_code, row.error_detail) == (code, f"HTTP {status} no thanks")
