"""Files stored while their render is deleted are deleted twice; messages that nobody took are sent ever less often."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("renders", sa.Column("sends", sa.Integer(), server_default="0", nullable=False))
    op.add_column("doomed_files", sa.Column("again_at", sa.DateTime(timezone=True), nullable=True))
