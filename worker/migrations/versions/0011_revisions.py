"""Revisions: which one of an owner's reference a render shows."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("renders", sa.Column("revision", sa.BigInteger(), nullable=True))
    op.create_check_constraint(
        op.f("ck_renders_revision"), "renders", "revision >= 0 AND external_ref IS NOT NULL OR revision IS NULL"
    )
    op.create_index(
        "ix_renders_revision",
        "renders",
        ["owner_id", "external_ref", "revision"],
        postgresql_where=sa.text("revision IS NOT NULL"),
    )
