"""A session's state, and when two readings of it are the same."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from worker.remote import noticing
from worker.remote.faults import bind_id
from worker.remote.models import UploadedFile

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_CLOCKS = re.compile(
    r"(last_?)?(updated?|modified|accessed|fetched|refreshed|synced|read)_?(at|on|time|date|ts)?|last_?(update|modified|access|sync)"
    r"|(url_?)?(expires?|expiry|expiration)(_?(at|in|on|time|date))?|server_?time|request_?id|trace_?id",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class State:
    """One reading of `data.state`. `draft` is the JSON exactly as received; it goes back so."""

    draft: bytes | None = field(repr=False)
    fingerprint: str
    ready: bool
    """Whether the draft has a track with segments, which an export needs."""
    raw_generated: bool
    """Whether raw media exist: the first of generation's two stages is over."""
    files: tuple[UploadedFile, ...] = ()
    """The files the session holds: what need not be uploaded again."""
    bind_id: str | None = None

    def changed_from(self, fingerprint: str) -> bool:
        """Whether a turn has done something since the reading with that fingerprint."""
        return self.fingerprint != fingerprint


def state_of(slices: Mapping[str, bytes]) -> State:
    """The state whose members are given as slices of the answer; `ValueError` where one is no JSON."""
    raw = slices.get("draft", b"null")
    draft = loads(raw)
    media = loads(slices.get("generated_media", b"null"))
    videos = loads(slices.get("video_infos", b"null"))
    rest = {
        key: loads(value) for key, value in slices.items() if key not in ("draft", "generated_media", "video_infos")
    }
    return State(
        draft=raw if isinstance(draft, dict) and draft else None,
        fingerprint=fingerprint(draft, media),
        ready=is_ready(draft),
        raw_generated=_canonical(media) is not None,
        files=tuple(_files(videos)),
        bind_id=bind_id(rest),
    )


def fingerprint(draft: object, generated_media: object) -> str:
    """SHA-256 (hex) over what a turn can change, and nothing that changes by itself.

    In: the draft and the generated media. Out:
    - uploads (`video_infos`) and the canvas that follows them: the backend probes and transcodes uploads on its own
      time, and the upload stage fills them without any turn;
    - the query and fragment of each URL: signatures are made anew at every read;
    - clocks and ids of the reading itself (`updated_at`, `expires_at`, `request_id` …): a save or a read moves them. An
      edit that moves nothing else is no edit, so leaving them out hides none;
    - absent, null and empty members: serialisers differ in which of these they write, and the first look at a session
      may come before the backend writes its empty draft;
    - the order of keys, of `generated_media` (an unordered query's result), and 10 against 10.0.
    Everything else counts, unknown keys too. A false "changed" would adopt a render that never came, a false
    "unchanged" ends in a look-up that fails: content is therefore never left out.
    """
    media = _canonical(generated_media)
    if isinstance(media, list):
        media = sorted(cast("list[object]", media), key=_text)
    return hashlib.sha256(_text([_canonical(draft), media]).encode("utf-8", "surrogatepass")).hexdigest()


def is_ready(draft: object) -> bool:
    """Whether `draft.t` has a track with a non-empty `sg`."""
    tracks = cast("dict[str, Any]", draft).get("t") if isinstance(draft, dict) else None
    if not isinstance(tracks, list):
        return False
    return any(isinstance(track, dict) and bool(cast("dict[str, Any]", track).get("sg")) for track in tracks)


def loads(raw: bytes) -> object:
    """JSON as Python holds it; lenient on what other parsers refuse (lone surrogates, NaN, raw control characters)."""
    return json.loads(raw.decode("utf-8", "replace"), strict=False)


def _canonical(value: object) -> object:
    """The value without what may change by itself; None for everything empty."""
    if isinstance(value, dict):
        members = {
            key: kept
            for key, inner in cast("dict[str, object]", value).items()
            if not (_CLOCKS.fullmatch(key) and not isinstance(inner, dict | list))
            and (kept := _canonical(inner)) is not None
        }
        return members or None
    if isinstance(value, list):
        return [_canonical(inner) for inner in cast("list[object]", value)] or None
    if isinstance(value, str):
        return (re.split(r"[?#]", value, maxsplit=1)[0] if _URL.match(value) else value) or None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _files(videos: object) -> list[UploadedFile]:
    """Uploads as the state lists them: a list, or an object by id."""
    if isinstance(videos, dict):
        videos = list(cast("dict[str, object]", videos).values())
    found: list[UploadedFile] = []
    for video in cast("list[object]", videos) if isinstance(videos, list) else []:
        if isinstance(video, dict):
            try:
                found.append(UploadedFile.model_validate(video, context="state"))
            except ValueError:
                noticing.shape("state", "video_infos[] unread", noticing.kind_of(cast(object, video)))
    return found
