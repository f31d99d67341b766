"""The names of everything the sandbox can do wrong, where each applies, and what it does.

A rule or a directive with a name that is not here is refused: a misspelt one would make a test prove nothing.
"""

POINTS = (
    "message", "token", "session", "upload", "state", "export", "poll", "download", "fallback", "credits", "claim",
    "cancel",
)  # fmt: skip

ANYWHERE = {
    "http_status": "answer `status` (500) with a JSON body, or `body=html`; on a message `apply=true` does the turn",
    "code": "answer the contract's `code` with `message`, under `status` or as the `error_status` switch says",
    "rate_limited": "429; `retry_after=S` adds the header",
    "expire": "1001; an anonymous token really ends",
    "lost": "1002; the session is really forgotten",
    "no_credits": "2001 with data.bind_id",
    "no_subscription": "402",
    "delay": "answer after `seconds` (1)",
    "drop": "close the connection without an answer; on a message `apply=true` does the turn",
}
MESSAGE = {
    "silent_edit": "done, without a word: ADK ends in `parts: []` with MODEL_RETURNED_NO_CONTENT, typed on its result",
    "two_step": "the raw video now, music and title `seconds` (1) after the stream's end",
    "cut_after": "the stream breaks off after the turn was done",
    "cut_before": "the stream breaks off and the turn is never done",
    "cut_then_apply": "the stream breaks off and the turn is done `seconds` (1) later",
    "truncate_clean": "a clean end after a tool call; the turn was done, unless `apply=false`",
    "error_frame": "an error event and an error frame, with the contract's `code` if given; not done and refunded",
    "error_frame_applied": "the same, although the turn was done",
    "error_v1": "an error frame alone, as older agent servers send it; not done and refunded",
    "noise": '"I encountered a temporary issue" after the normal answer',
    "gui_talk": "the answer talks of buttons, panels and dragging, in English and Chinese",
    "question": "the answer is a question; nothing is done and nothing charged",
    "not_ready": "a draft whose tracks are all empty",
    "slow": "nothing but heartbeats for `seconds` (3), each `every` (1) seconds",
    "hang": "nothing at all for `seconds` (900); `headers=false` keeps back the status line too; `apply=true` as above",
    "unicode": "raw U+2028, U+2029 and U+0085 inside the JSON strings",
    "crlf": "lines end in CRLF",
    "cr": "lines end in CR",
    "bom": "the stream begins with a byte order mark",
    "multi_data": "every event comes as several data: lines",
    "split_bytes": "events arrive in pieces that end inside UTF-8 characters",
    "nul": "an escaped NUL inside the text",
    "no_partials": "whole texts only",
    "typed": "this turn speaks the typed dialect",
    "adk": "this turn speaks the agent framework's dialect",
    "cancel_on_disconnect": "the turn ends unfinished, refunded, when the client goes away",
    "stream": "this turn's stream lasts `seconds`",
}
UPLOAD = {
    "upload_answer_lost": "kept, then the connection is closed without an answer",
}
EXPORT = {
    "export_fails": "accepted, then status failed",
    "export_stuck": "accepted, then processing for ever",
    "export_refuse_id": "refused as if the id had been used before",
    "export_answer_lost": "accepted, then the connection is closed without an answer",
    "export_slow": "accepted, and `seconds` (5) more pending",
}
POLL = {
    "poll_5xx": "`status` (503)",
    "poll_html": "a page under HTTP 200",
}
FILE = {
    "truncated": "the Content-Length is right, the connection closes half way",
    "short": "half the file, with a Content-Length that says so",
    "not_video": "an HTML page under HTTP 200",
    "404": "not found",
    "403": "the signed address has expired",
    "5xx": "`status` (503)",
}
DOWNLOAD = {f"download_{name}": what for name, what in FILE.items()}
FALLBACK = {f"fallback_{name}": what for name, what in FILE.items()}

SPECIAL = {
    "message": MESSAGE, "upload": UPLOAD, "export": EXPORT, "poll": POLL, "download": DOWNLOAD, "fallback": FALLBACK,
}  # fmt: skip
POINT_OF = {name: point for point, names in SPECIAL.items() for name in names}


def point_of(name: str, wanted: str | None) -> str:
    """Where the behaviour applies; `wanted` decides for those that apply anywhere. Raises ValueError."""
    if name in ANYWHERE:
        point = wanted or "message"
        if point not in POINTS:
            raise ValueError(f"unknown point {point!r}; there are {', '.join(POINTS)}")
        return point
    if name not in POINT_OF:
        raise ValueError(f"unknown behaviour {name!r}; there are {', '.join([*ANYWHERE, *POINT_OF])}")
    if wanted not in (None, POINT_OF[name]):
        raise ValueError(f"{name!r} applies on {POINT_OF[name]!r}, not on {wanted!r}")
    return POINT_OF[name]
