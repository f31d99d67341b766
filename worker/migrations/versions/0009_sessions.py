"""Sessions: turns at one timeline, in order."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("remote_session_id", sa.Text(), nullable=True),
        sa.Column("pending", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("last_render_id", sa.Text(), nullable=True),
        sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_sessions_owner_id")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_sessions_account_id")),
        sa.ForeignKeyConstraint(
            ["remote_session_id"], ["remote_sessions.id"], name=op.f("fk_sessions_remote_session_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_list", "sessions", ["owner_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index(
        "uq_sessions_remote",
        "sessions",
        ["remote_session_id"],
        unique=True,
        postgresql_where=sa.text("remote_session_id IS NOT NULL"),
    )
    op.create_index("ix_sessions_pending", "sessions", ["owner_id"], postgresql_where=sa.text("pending <> '[]'::jsonb"))
    op.add_column("renders", sa.Column("session_id", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_renders_session_id"), "renders", "sessions", ["session_id"], ["id"])
    op.create_index(
        "ix_renders_session",
        "renders",
        ["session_id", "queued_at", "id"],
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    # Which messages of a session at the backend came before another one.
    op.create_index("ix_intents_remote_session", "intents", ["remote_session_id", "created_at"])
