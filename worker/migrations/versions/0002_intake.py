"""The intake: rotated keys, runs, purged renders, doomed files, surprises."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "doomed_files",
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("doomed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("storage_key", name=op.f("pk_doomed_files")),
    )
    op.create_table(
        "surprises",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("example", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('field', 'shape', 'event', 'code')", name=op.f("ck_surprises_kind")),
        sa.PrimaryKeyConstraint("kind", "place", "name", name=op.f("pk_surprises")),
    )
    op.create_table(
        "render_runs",
        sa.Column("render_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("api_key_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("charge_state", sa.Text(), nullable=False),
        sa.Column("charge_credits", sa.Double(), nullable=True),
        sa.Column("cancel_effect", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("charge_state IN ('none', 'incurred', 'unknown')", name=op.f("ck_render_runs_charge")),
        sa.CheckConstraint(
            "status IN ('canceled', 'expired', 'failed', 'succeeded')", name=op.f("ck_render_runs_final")
        ),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name=op.f("fk_render_runs_api_key_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_render_runs_owner_id")),
        sa.ForeignKeyConstraint(
            ["render_id"], ["renders.id"], name=op.f("fk_render_runs_render_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("render_id", "run", name=op.f("pk_render_runs")),
    )
    op.create_table(
        "upload_uses",
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("render_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["render_id"], ["renders.id"], name=op.f("fk_upload_uses_render_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_upload_uses_upload_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upload_id", "render_id", name=op.f("pk_upload_uses")),
    )
    op.create_index("ix_upload_uses_render", "upload_uses", ["render_id"], unique=False)
    op.execute(
        "INSERT INTO upload_uses (upload_id, render_id) SELECT DISTINCT uploads.id, renders.id"
        " FROM renders, jsonb_array_elements(renders.assets) AS asset, uploads WHERE uploads.id = asset ->> 'upload'"
    )
    op.create_index("ix_render_runs_api_key", "render_runs", ["api_key_id", "queued_at"], unique=False)
    op.create_index("ix_render_runs_finished", "render_runs", ["owner_id", "finished_at"], unique=False)
    op.add_column("api_keys", sa.Column("previous_hash", sa.Text(), nullable=True))
    op.add_column("api_keys", sa.Column("previous_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_unique_constraint(op.f("uq_api_keys_previous_hash"), "api_keys", ["previous_hash"])
    op.add_column("renders", sa.Column("api_key_id", sa.Text(), nullable=True))
    op.add_column(
        "renders", sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )
    op.add_column("renders", sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_renders_api_key", "renders", ["api_key_id", "queued_at"], unique=False)
    op.create_index(
        "ix_renders_api_key_open",
        "renders",
        ["api_key_id"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "ix_renders_finished",
        "renders",
        ["owner_id", "finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_foreign_key(op.f("fk_renders_api_key_id"), "renders", "api_keys", ["api_key_id"], ["id"])
    # Autogeneration sees neither of these.
    op.create_check_constraint(
        op.f("ck_api_keys_previous"), "api_keys", "(previous_hash IS NULL) = (previous_expires_at IS NULL)"
    )
    op.create_check_constraint(op.f("ck_api_keys_rotated"), "api_keys", "previous_hash <> hash")
    op.create_check_constraint(op.f("ck_renders_purged"), "renders", "purged_at IS NULL OR finished_at IS NOT NULL")
    op.execute("UPDATE renders SET queued_at = created_at")
