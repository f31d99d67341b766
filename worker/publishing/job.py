"""One publication in hand: what a kind's steps are given, and what they answer."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from config.settings import settings
from worker.addresses.connect import Clock
from worker.addresses.fetch import Guarded, Limits
from worker.database import transact
from worker.media.storage import NotStored, Storage
from worker.publishing import claims
from worker.publishing.claims import Held
from worker.publishing.errors import Again, GivenUp, PublishError
from worker.publishing.models import Publication
from worker.publishing.settings import Credentials, Settings

MARK = "vivideo-"
"""What every file's name begins with that we bring to a shop, followed by the publication's id: by it a shop is asked
whether something is there already, and nothing without it is ever removed."""
_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm"}
LONGEST_UPLOAD = timedelta(hours=1)
MOST_TIDIES = 12
"""Faults in a row: more than an hour of them."""
BEFORE_ITS_END = 0.9
"""Of a claim's time, when a call with the video is over at the latest: what came of it is written in what is left."""


@dataclass(frozen=True)
class Next:
    """This step is done; what it made is kept before the next one is taken."""

    step: str
    remote: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Later:
    """The shop is at work: the same step again after `pause`."""

    pause: timedelta
    remote: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Published:
    """The video is there; `removed` are the earlier publications that have nothing there any more, `left` those whose
    video stays, as it may be anybody's."""

    removed: tuple[str, ...] = ()
    remote: dict[str, Any] = field(default_factory=dict[str, Any])
    left: tuple[str, ...] = ()


Outcome = Next | Later | Published


def remarked(refused: PublishError) -> Published:
    """The video is there, but what is done after it was refused: said, and left to the product's next one."""
    return Published(remote={"remark": str(refused)})


@dataclass
class Job:
    """A claimed publication, with the tools to bring it to its place."""

    held: Held
    settings: Settings
    credentials: Credentials
    storage: Storage
    fetch: Guarded
    remote: dict[str, Any]
    """What is on file of it, with what this claim's steps added."""
    _renewed: float = field(default_factory=time.monotonic)
    _clock: Clock | None = None

    @property
    def id(self) -> str:
        return self.held.publication.id

    @property
    def mark(self) -> str:
        """Of this publication's file."""
        return f"{MARK}{self.id}"

    @property
    def file_name(self) -> str:
        return f"{self.mark}{self._ending}"

    @property
    def media_type(self) -> str:
        return _TYPES.get(self._ending, "video/mp4")

    @property
    def _ending(self) -> str:
        return PurePosixPath(self.key).suffix or ".mp4"

    @property
    def key(self) -> str:
        """Of the video in the storage. Raises GivenUp."""
        if self.held.result is None:
            raise GivenUp("publish.no_video")
        return self.held.result.storage_key

    @property
    def earlier(self) -> list[Publication]:
        """Older ones of ours that may have something on this very product. What is on another one, to which the
        reference led before, is left alone."""
        here = self.remote["product_id"]
        return [one for one in self.held.earlier if one.remote.get("product_id") == here]

    def size(self) -> int:
        """The video's bytes. Raises GivenUp, StorageUnavailable."""
        try:
            return self.storage.head(self.key).bytes
        except NotStored:
            raise GivenUp("publish.no_video") from None

    def pieces(self) -> Iterator[bytes]:
        """The video, never whole in memory; while it is read, the claim is renewed. Raises also LeaseLost."""
        try:
            for piece in self.storage.read(self.key):
                self.alive()
                yield piece
        except NotStored:
            raise GivenUp("publish.no_video") from None

    def alive(self) -> None:
        """Renew the claim where it is time. Raises LeaseLost."""
        if time.monotonic() - self._renewed > settings().waits.publish_lease_seconds.total_seconds() / 4:
            transact(lambda session: claims.renew(session, self.held))
            self.renewed()

    def renewed(self) -> None:
        """A write has just renewed it."""
        self._renewed = time.monotonic()
        self._wind()

    def uploading(self) -> Clock:
        """Of a call with the video: it ends before the claim does, and goes on as long as that is renewed."""
        self._clock = Clock(LONGEST_UPLOAD.total_seconds())
        self._wind()
        return self._clock

    def _wind(self) -> None:
        if self._clock is not None:
            claimed = settings().waits.publish_lease_seconds.total_seconds() * BEFORE_ITS_END
            self._clock.within(self._renewed + claimed - time.monotonic())


def at_last(job: Job, fault: Again) -> Published:
    """The video is there, and what is done after it goes wrong: after so many times as if it was refused. Raises the
    fault before."""
    row = job.held.publication
    if row.step == "tidy" and row.tries >= MOST_TIDIES:
        return remarked(fault)
    raise fault


Step = Callable[[Job], Outcome]
Steps = Mapping[str, Step]


def quick() -> Limits:
    """Of a call without a file: it is over well before the claim is, so that no zombie's call comes late."""
    waits = settings().waits
    whole = waits.publish_lease_seconds.total_seconds() / 2
    return Limits(total_seconds=whole, read_seconds=min(waits.publish_read_seconds.total_seconds(), whole))


def upload() -> Limits:
    """Of a call with the video; `Job.uploading` says when it is over."""
    return Limits(read_seconds=settings().waits.publish_read_seconds.total_seconds())
