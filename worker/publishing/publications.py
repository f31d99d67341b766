"""Videos on their way to products."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.database import new_id
from worker.publishing.models import Publication
from worker.renders.models import Render


def ask(session: Session, publisher_id: str, render: Render, ref: str, product: Mapping[str, Any]) -> None:
    """Have a render's video brought to a product, once for each of its runs."""
    row = {"id": new_id("pub"), "owner_id": render.owner_id, "publisher_id": publisher_id, "render_id": render.id}
    row |= {"run": render.run, "ref": ref, "product": dict(product)}
    session.execute(insert(Publication).values(row).on_conflict_do_nothing())
