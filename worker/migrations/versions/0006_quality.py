"""Finished videos are examined: what they are compared with, what was found, and what that leads to."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("renders", sa.Column("quality_gate", sa.Text(), server_default="report", nullable=False))
    op.add_column("renders", sa.Column("expect", JSONB(), nullable=True))
    op.create_check_constraint(op.f("ck_renders_quality_gate"), "renders", "quality_gate IN ('report', 'fail', 'off')")
    op.add_column("results", sa.Column("quality", JSONB(), nullable=True))
