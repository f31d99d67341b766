"""A batch to its end, or to where somebody has to decide; its finished videos are fetched meanwhile."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from api.cli.progress import PATIENCE_SECONDS
from api.cli.running.bars import Board
from api.cli.running.videos import Videos
from api.client import Batch, Client, RateLimited, Render, ServerFault, Unreachable

LOOK_SECONDS = 1.0
SHOWN = 6
"""Running renders that have a bar."""
SHARE = 10
"""A manifest of many rows takes its time to read: at most this part of the time goes into reading it again."""
UNDER_WAY = ("running", "waiting", "canceling")

Found = TypeVar("Found")


BAR_SECONDS = 0.05
"""Between two pictures of the bars while files come in: twenty a second look like movement."""


def patiently(ask: Callable[[], Found]) -> Found:
    """What `ask` answers. A service that restarts is waited for; Unreachable only after `PATIENCE_SECONDS`."""
    since = time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            return ask()
        except (ServerFault, RateLimited, Unreachable):
            if time.monotonic() - since > PATIENCE_SECONDS:
                raise
            # It may be starting: asked at the pace of the looks, not as fast as it refuses.
            time.sleep(max(asked + LOOK_SECONDS - time.monotonic(), 0))


def looks(ask: Callable[[], Found], seconds: float) -> Iterator[Found]:
    """What `ask` answers, at once and then each so many seconds."""
    while True:
        asked = time.monotonic()
        yield patiently(ask)
        # The rest of the interval: a batch has no call that is held back until something changes.
        time.sleep(max(asked + seconds - time.monotonic(), 0))


def follow(client: Client, batch_id: str, videos: Videos, board: Board) -> Batch:
    """Show a batch, and fetch its videos, until nothing more begins by itself, nothing is under way, and what is
    finished is here. Raises what `client` raises, OSError where a file cannot be written.
    """
    seen, walked, pause = -1, 0.0, 0.0
    with board:
        for batch in looks(lambda: client.batch(batch_id), LOOK_SECONDS):
            videos.settle()
            board.show(batch, _running(client, batch) if board.bars else [], videos)
            finished, over = batch.counts.get("succeeded", 0), stands(batch)
            due = over or time.monotonic() > walked + pause
            if due and (finished != seen or (videos.again and not videos.waiting)):
                began = time.monotonic()
                patiently(lambda: videos.want(client.batch_manifest(batch_id)))
                seen, walked = finished, time.monotonic()
                pause = (walked - began) * SHARE
            if over and seen == finished:
                _settled(videos, board, batch)
                if not videos.again:
                    return batch
    raise AssertionError("the looks do not end")


def stands(batch: Batch) -> bool:
    """Whether nothing happens to it by itself any more."""
    if batch.status == "paused":
        return not any(batch.counts.get(status) for status in UNDER_WAY)
    return batch.status in ("finished", "awaiting_approval")


def _settled(videos: Videos, board: Board, batch: Batch) -> None:
    """Wait for what is being fetched."""
    while videos.waiting:
        board.show(batch, [], videos)
        time.sleep(BAR_SECONDS)  # the bars' own pace: bytes come by the thousand, and are drawn a few times a second
        videos.settle()


def _running(client: Client, batch: Batch) -> list[Render]:
    """Some that are at work, the first of the source before others; with how far they are."""
    if not any(batch.counts.get(status) for status in UNDER_WAY):
        return []
    found = patiently(lambda: client.batch_items(batch.id, status=UNDER_WAY, limit=SHOWN)).data
    if not found:
        return []
    renders = patiently(lambda: client.renders(ids=[one.id for one in found], limit=SHOWN)).data
    return sorted(renders, key=lambda one: one.position or 0)
