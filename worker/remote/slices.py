"""A JSON object's members as slices of its bytes: what goes back to the backend goes back as it came."""

import json
import re

import msgspec

_FAST = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SPACE = re.compile(r"[ \t\r\n]*")
_VALUE = json.JSONDecoder(strict=False)


def members(body: bytes) -> dict[str, bytes]:
    """Each member's value as received, without space around it; `ValueError` where it is no object.

    msgspec does it in one pass but refuses what other serialisers write: half of a surrogate pair, NaN. A draft must
    not be lost to that, so the standard library's scanner, which takes them, is the second way.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return {key: bytes(value) for key, value in _FAST.decode(body).items()}
    except ValueError:  # msgspec's errors are ValueErrors
        return _scanned(body.decode("utf-8", "surrogateescape"))  # lossless, there and back


def _scanned(text: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = _past(text, 0, "{")
    while text[at : at + 1] != "}":
        key, at = _VALUE.raw_decode(text, _skip(text, at))
        if not isinstance(key, str):
            raise ValueError(f"expected a name before {at}")
        start = _past(text, at, ":")
        _, end = _VALUE.raw_decode(text, start)
        found[key] = text[start:end].encode("utf-8", "surrogateescape")
        at = _skip(text, end)
        if text[at : at + 1] != "}":
            at = _past(text, at, ",")
    if _skip(text, at + 1) != len(text):
        raise ValueError("more than one JSON value")
    return found


def _past(text: str, at: int, mark: str) -> int:
    """The place after `mark`, which must come next, and the white space around it."""
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"expected {mark} at {at}")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
