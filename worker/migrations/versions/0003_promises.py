"""The promises: deadlines, messages watched on, workers known by machine, accounts held by hand, the circuit."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "circuits",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pause_seconds", sa.Double(), nullable=True),
        sa.Column("probing_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint("(opened_at IS NULL) = (open_until IS NULL)", name=op.f("ck_circuits_opened")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_circuits")),
    )
    op.add_column("accounts", sa.Column("held_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("accounts", sa.Column("pause_seconds", sa.Double(), nullable=True))
    op.add_column("workers", sa.Column("machine", sa.Text(), nullable=True))
    op.add_column("workers", sa.Column("pid_started", sa.BigInteger(), nullable=True))
    op.add_column("workers", sa.Column("died", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("intents", sa.Column("watch_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("intents", sa.Column("balance_before", sa.Double(), nullable=True))
    op.add_column("intents", sa.Column("balance_read_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_intents_watched",
        "intents",
        ["watch_at"],
        unique=False,
        postgresql_where=sa.text("watch_at IS NOT NULL"),
    )
    op.create_check_constraint(
        op.f("ck_intents_watched"), "intents", "watch_at IS NULL OR state IN ('unconfirmed', 'not_applied')"
    )
    op.add_column("renders", sa.Column("deadline_seconds", sa.Double(), nullable=True))
    op.add_column("renders", sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("renders", sa.Column("clock_stopped_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("renders", sa.Column("deaths", sa.Integer(), server_default="0", nullable=False))
    op.add_column("renders", sa.Column("expiring", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint(
        op.f("ck_renders_deadline"), "renders", "(deadline_seconds IS NULL) = (deadline_at IS NULL)"
    )
    op.create_check_constraint(
        op.f("ck_renders_expiring"), "renders", "NOT expiring OR cancel_requested_at IS NOT NULL"
    )
    op.create_index(
        "ix_renders_deadline",
        "renders",
        ["deadline_at"],
        unique=False,
        postgresql_where=sa.text(
            "deadline_at IS NOT NULL AND finished_at IS NULL"
            " AND clock_stopped_at IS NULL AND cancel_requested_at IS NULL"
        ),
    )
    op.create_index(
        "ix_renders_clocks",
        "renders",
        ["owner_id", "clock_stopped_at"],
        unique=False,
        postgresql_where=sa.text("deadline_at IS NOT NULL AND finished_at IS NULL AND started_at IS NULL"),
    )
