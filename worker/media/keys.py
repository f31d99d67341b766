"""What a storage key may look like."""

import re

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_LONGEST = 900
"""Characters; S3 takes 1,024 bytes, prefix included."""


def checked_key(key: str) -> str:
    """The key, when it is segments of letters, digits, `.`, `_` and `-` joined by `/`; raises ValueError otherwise.

    No segment is empty or begins with a dot, so no key is absolute, climbs out of its directory, names a hidden file,
    or reads differently in a URL.
    """
    if len(key) > _LONGEST or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise ValueError(f"not a storage key: {key[:80]!r}")
    return key
