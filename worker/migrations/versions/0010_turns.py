"""Whose turn it is: which owner's catalogs were read the longest time ago, which renders wait for another one;
and what a reading met unchanged is found among the changes of all readings."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_catalog_reads_served", "catalog_reads", ["owner_id", "seen_at"])
    op.drop_index("ix_renders_followers", "renders")
    op.create_index(
        "ix_renders_followers", "renders", ["follows_id"], postgresql_where=sa.text("follows_id IS NOT NULL")
    )
    op.create_index(
        "ix_renders_turns",
        "renders",
        ["follows_id", "id"],
        postgresql_where=sa.text(
            "follows_id IS NOT NULL AND started_at IS NULL AND finished_at IS NULL AND ready_at = 'infinity'"
        ),
    )
    op.create_index(
        "ix_catalog_changes_no_news", "catalog_changes", ["read_id"], postgresql_where=sa.text("kind = 'unchanged'")
    )
