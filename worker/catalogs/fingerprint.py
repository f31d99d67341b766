"""What a product's video depends on, as one number: the same number, the same video.

The template's version, the variables that it uses, the product's own reference, how the video is made, and each
picture: by address and what its server says of its version, or by content where the file is ours.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.catalogs.requests import Requested


@dataclass(frozen=True)
class Picture:
    """One asset. `version` is the server's ETag or Last-Modified, or the SHA-256 of an upload; None: not known."""

    address: str
    version: str | None = None


def fingerprint(template_version: str, requested: Requested, pictures: Sequence[Picture]) -> str:
    """SHA-256, hexadecimal."""
    request = requested.request
    return of(
        template=template_version,
        ref=request.external_ref,
        variables=requested.used,
        language=request.language,
        output=request.output,
        pictures=pictures,
    )


def of(
    *,
    template: str,
    ref: str | None,
    variables: Mapping[str, Any],
    language: str,
    output: Mapping[str, Any],
    pictures: Sequence[Picture],
) -> str:
    """SHA-256, hexadecimal; the order of names makes no difference, that of pictures does."""
    parts = {
        "template": template,
        "ref": ref,
        "variables": variables,
        "language": language,
        "output": output,
        "pictures": [[one.address, one.version] for one in pictures],
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
