"""Text that came from outside, made fit to keep and to show."""

import re

BOUND = 300
"""Characters of a backend's message worth keeping: enough for a sentence, too little to smuggle a page of HTML."""

_SECRETS = (
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+"), r"\1 …"),
    (re.compile(r"\b(nmv_[a-z]+_|clm_|whsec_|vv_)[\w-]+"), r"\1…"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "…"),
    (
        re.compile(
            r"(?i)\b((?:access_|claim_)?token|authorization|signature|x-amz-[a-z-]+)([\"']?\s*[=:]\s*[\"']?)[^\s&\"',}]+"
        ),
        r"\1\2…",
    ),
)
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)


def clean(text: str) -> str:
    """The text without NUL and lone surrogates, which neither PostgreSQL nor UTF-8 can hold."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


def without_query(text: str) -> str:
    """Every URL in the text, shortened before its query: that is where signatures are."""
    return _QUERY.sub(r"\1", text)


def redact(text: str, *secrets: str) -> str:
    """One bounded line with neither tokens nor signed URLs; `secrets` are removed wherever they stand."""
    text = clean(text)
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    text = without_query(text)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    return text if len(text) <= BOUND else text[: BOUND - 1] + "…"
