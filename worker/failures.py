"""Every way a render can fail: a stable code, a sentence for people, whether it may pass, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """One entry of the error catalogue."""

    code: str
    message: str
    retryable: bool
    help: str


_RENDER_AGAIN = "Send the render again; nothing was charged for this one unless its charge says so."

NO_DRAFT = Failure(
    "generation.no_draft",
    "The backend answered, but made no video that could be exported.",
    True,
    "Read `answer`: it may ask for something. Say more exactly what the video should show, and send it again.",
)
GENERATION_FAILED = Failure(
    "generation.failed",
    "The backend reported an error and made no video.",
    True,
    _RENDER_AGAIN,
)
UNCONFIRMED = Failure(
    "generation.unconfirmed",
    "The connection was lost and the backend showed no result within the time a generation can take.",
    True,
    "The message may have been received, so it was not sent again. Its session is read on for a day: a video that "
    "turns up is delivered by itself. `on_unconfirmed: retry` sends a new attempt then, which may be paid twice.",
)
SESSION_LOST = Failure(
    "session.lost",
    "The render's session at the backend is gone.",
    True,
    "A session lost before its message was sent is made anew, up to ten times. After that message nothing is started "
    "again by itself, because it would be charged again: read the charge, and retry it with `force` if you want that.",
)
EXPORT_FAILED = Failure(
    "export.failed",
    "The backend could not export the video, twice.",
    True,
    "Exports are free: send the render again, or open `remote.link` and export by hand.",
)
RESULT_UNPLAYABLE = Failure(
    "result.unplayable",
    "The exported file is no playable video, also after a second export.",
    True,
    "Send the render again; if it repeats, keep the render's id for the backend's support.",
)
RESULT_QUALITY = Failure(
    "result.quality",
    "The video is there, but not as it was asked for or not in order, and the request said to fail then.",
    True,
    "Watch it at `/video`: it is kept and paid for, and `result.quality` says what was found. A retry needs `force` "
    'and pays for another one; sent with `quality_gate: "report"`, a render with such a video succeeds.',
)
ASSET_UNSUPPORTED = Failure(
    "asset.unsupported",
    "The backend does not take one of the assets.",
    False,
    "Accepted: mp4 mov avi webm mkv, jpg png gif webp, mp3 wav m4a aac.",
)
ASSET_TOO_LARGE = Failure(
    "asset.too_large",
    "One of the assets is larger than the backend takes.",
    False,
    "At most 200 MB each: compress or trim it.",
)
ASSET_UNREACHABLE = Failure(
    "asset.unreachable",
    "The backend could not fetch one of the asset addresses.",
    True,
    "The address must be public and answer with the file itself; or upload the file with POST /v1/uploads.",
)
ASSET_GONE = Failure(
    "asset.gone",
    "An uploaded asset is no longer in storage.",
    False,
    "Upload it again and send the render again.",
)
BACKEND_UNAVAILABLE = Failure(
    "backend.unavailable",
    "The backend could not be reached, or kept failing, for too long.",
    True,
    "Check NEMO_API_URL and the network, then send the render again.",
)
BACKEND_REJECTED = Failure(
    "backend.rejected",
    "The backend refused the request.",
    False,
    "Read the message; change the request accordingly.",
)
BACKEND_UNINTELLIGIBLE = Failure(
    "backend.unintelligible",
    "The backend answered in a form this version does not know.",
    True,
    "Look for a newer version of this service.",
)
DEADLINE_PASSED = Failure(
    "deadline.passed",
    "The render was not finished within its deadline.",
    True,
    "`cancel_effect` says what was still prevented. A retry gets the same time again and goes on from what is paid "
    "for; or send it with a longer `deadline_seconds`, or without one.",
)
INTERNAL = Failure(
    "internal",
    "A fault in this service stopped the render.",
    True,
    "The logs name the render's id and the fault. " + _RENDER_AGAIN,
)
