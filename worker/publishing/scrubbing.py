"""What stays of a publication whose render was deleted: nothing that its owner wrote."""

import hashlib
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, text

from worker.publishing.models import DIGEST, Publication

_DELETED = "deleted:"

_KEPT = ("media_id", "unmarked", "product_id", "meta_key", "removed", "left")
"""Of `remote`: nothing that anybody wrote, and no address."""


def wordless() -> dict[str, Any]:
    """Values for a publication whose render was deleted. What the shop calls the video stays: the product's next one
    replaces it. So does the reference, as a digest that tells it again to who knows it."""
    its = Publication.remote
    named = func.jsonb_strip_nulls(
        func.jsonb_build_object(
            *(part for name in _KEPT for part in (text(f"'{name}'"), func.jsonb_extract_path(its, name)))
        )
    )
    return {"ref": digest(), "product": {}, "remote": named, "error_detail": None}


def digest() -> ColumnElement[str]:
    """Of a publication's reference; of a digest, itself."""
    told = func.convert_to(Publication.publisher_id + "\n" + Publication.ref, "UTF8")
    hashed = literal(_DELETED) + func.encode(func.sha256(told), "hex")
    return case((Publication.ref.regexp_match(DIGEST), Publication.ref), else_=hashed)


def digested(publisher_id: str, ref: str) -> str:
    """As `digest`, of what is not on file yet."""
    return _DELETED + hashlib.sha256(f"{publisher_id}\n{ref}".encode()).hexdigest()
