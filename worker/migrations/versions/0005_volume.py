"""Volume: batches and their rejected rows, lanes that can be held, renders that follow others or reuse their video."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_NOW = sa.text("now()")


def _moment(name: str, *, now: bool = False) -> sa.Column[object]:
    if now:
        return sa.Column(name, sa.DateTime(timezone=True), server_default=_NOW, nullable=False)
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("api_key_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("priority", sa.Text(), server_default="normal", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("state", sa.Text(), server_default="receiving", nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rejected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first", sa.Integer(), nullable=True),
        _moment("approved_at"),
        sa.Column("max_credits", sa.Double(), nullable=True),
        sa.Column("max_failure_rate", sa.Double(), nullable=True),
        sa.Column("allowance", sa.Integer(), nullable=True),
        _moment("paused_at"),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("pause_detail", sa.Text(), nullable=True),
        _moment("counting_from"),
        _moment("cancel_requested_at"),
        _moment("created_at", now=True),
        _moment("received_at", now=True),
        _moment("accepted_at"),
        _moment("finished_at"),
        sa.CheckConstraint("state IN ('receiving', 'open', 'finished')", name=op.f("ck_batches_state")),
        sa.CheckConstraint("priority IN ('high', 'normal', 'low')", name=op.f("ck_batches_priority")),
        sa.CheckConstraint("(paused_at IS NULL) = (pause_reason IS NULL)", name=op.f("ck_batches_paused")),
        sa.CheckConstraint("(state = 'finished') = (finished_at IS NOT NULL)", name=op.f("ck_batches_finished")),
        sa.CheckConstraint("(state = 'receiving') = (accepted_at IS NULL)", name=op.f("ck_batches_accepted")),
        sa.CheckConstraint("max_failure_rate BETWEEN 0 AND 1", name=op.f("ck_batches_max_failure_rate")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_batches_owner_id")),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name=op.f("fk_batches_api_key_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index("ix_batches_list", "batches", ["owner_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index("ix_batches_unfinished", "batches", ["id"], postgresql_where=sa.text("state <> 'finished'"))
    op.create_table(
        "batch_problems",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_batch_problems_batch_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_problems")),
    )
    op.create_index("ix_batch_problems_batch", "batch_problems", ["batch_id", "line", "id"])

    op.add_column("lanes", sa.Column("part", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("lanes", sa.Column("held", sa.Boolean(), server_default="false", nullable=False))
    op.drop_column("lanes", "virtual_time")  # what each lane had is the dispatcher's to know
    op.drop_constraint(op.f("uq_lanes_owner_id_batch_id_priority"), "lanes", type_="unique")
    op.create_unique_constraint(
        op.f("uq_lanes_owner_id_batch_id_priority_part"),
        "lanes",
        ["owner_id", "batch_id", "priority", "part"],
        postgresql_nulls_not_distinct=True,
    )
    op.create_foreign_key(op.f("fk_lanes_batch_id"), "lanes", "batches", ["batch_id"], ["id"], ondelete="CASCADE")
    op.create_index("ix_lanes_batch", "lanes", ["batch_id"], postgresql_where=sa.text("batch_id IS NOT NULL"))

    op.add_column("renders", sa.Column("batch_id", sa.Text(), nullable=True))
    op.add_column("renders", sa.Column("batch_position", sa.Integer(), nullable=True))
    op.add_column("renders", sa.Column("follows_id", sa.Text(), nullable=True))
    op.add_column("renders", sa.Column("follows_until", sa.Text(), nullable=True))
    op.add_column("renders", sa.Column("fingerprint", sa.Text(), nullable=True))
    op.add_column("renders", sa.Column("reused_from", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_renders_batch_id"), "renders", "batches", ["batch_id"], ["id"])
    op.create_check_constraint(op.f("ck_renders_batch"), "renders", "(batch_id IS NULL) = (batch_position IS NULL)")
    op.create_check_constraint(
        op.f("ck_renders_follows"),
        "renders",
        "(follows_id IS NULL) = (follows_until IS NULL) AND follows_until IN ('export', 'end')",
    )
    op.create_index(
        "ix_renders_batch",
        "renders",
        ["batch_id", "batch_position"],
        unique=True,
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "ix_renders_batch_status",
        "renders",
        ["batch_id", "status"],
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "ix_renders_batch_charged",
        "renders",
        ["batch_id", "charge_state"],
        postgresql_include=["charge_credits"],
        postgresql_where=sa.text("batch_id IS NOT NULL AND charge_state <> 'none'"),
    )
    op.create_index(
        "ix_renders_batch_again",
        "renders",
        ["batch_id"],
        postgresql_where=sa.text("batch_id IS NOT NULL AND run > 1"),
    )
    op.create_index(
        "ix_renders_fingerprint",
        "renders",
        ["owner_id", "fingerprint"],
        postgresql_where=sa.text("fingerprint IS NOT NULL"),
    )
    op.create_index(
        "ix_renders_followers",
        "renders",
        ["follows_id"],
        postgresql_where=sa.text("follows_id IS NOT NULL AND started_at IS NULL AND finished_at IS NULL"),
    )
