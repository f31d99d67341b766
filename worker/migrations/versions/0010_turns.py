"""Which owner's catalogs were read the longest time ago."""

from collections.abc import Sequence

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_catalog_reads_served", "catalog_reads", ["owner_id", "seen_at"])
