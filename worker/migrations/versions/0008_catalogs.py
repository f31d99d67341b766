"""Catalogs, their readings, products and changes; a stored file is found by its key, as several renders may name it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def _moment(name: str, *, now: bool = False) -> sa.Column[object]:
    if now:
        return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def _text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null, server_default=default)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), server_default="false", nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), server_default="{}", nullable=False)


def _number() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _to(table: str, column: str, other: str, *, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete)


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def upgrade() -> None:
    _catalogs()
    _reads()
    _products()
    _changes()
    op.create_index("ix_results_storage_key", "results", ["storage_key"])


def _catalogs() -> None:
    op.create_table(
        "catalogs",
        _text("id"),
        _text("owner_id"),
        _text("api_key_id", null=True),
        _text("name", null=True),
        _text("url", null=True),
        _text("template"),
        _json("options"),
        sa.Column("schedule_seconds", sa.Integer(), nullable=True),
        _moment("next_read_at"),
        _text("etag", null=True),
        _text("last_modified", null=True),
        _text("template_version", null=True),
        _moment("created_at", now=True),
        _moment("updated_at", now=True),
        _check("catalogs", "schedule", "schedule_seconds IS NULL OR url IS NOT NULL"),
        _check("catalogs", "next_read", "(schedule_seconds IS NULL) = (next_read_at IS NULL)"),
        _to("catalogs", "owner_id", "owners"),
        _to("catalogs", "api_key_id", "api_keys"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogs")),
    )
    op.create_index("ix_catalogs_list", "catalogs", ["owner_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index(
        "ix_catalogs_due", "catalogs", ["next_read_at"], postgresql_where=sa.text("next_read_at IS NOT NULL")
    )


def _reads() -> None:
    op.create_table(
        "catalog_reads",
        _text("id"),
        _text("catalog_id"),
        _text("owner_id"),
        _text("api_key_id", null=True),
        _text("trigger"),
        _flag("force"),
        _text("storage_key", null=True),
        _text("file_name", null=True),
        _text("state", default="pending"),
        _moment("ready_at", now=True),
        _moment("sent_at"),
        _whole("lease"),
        _text("worker_id", null=True),
        _moment("seen_at"),
        _whole("tries"),
        _whole("deaths"),
        _text("format", null=True),
        _text("encoding", null=True),
        _flag("not_modified"),
        _json("counts"),
        _text("batch_id", null=True),
        _text("error_code", null=True),
        _text("error_detail", null=True),
        _moment("created_at", now=True),
        _moment("started_at"),
        _moment("finished_at"),
        _check("catalog_reads", "state", "state IN ('pending', 'reading', 'done', 'failed')"),
        _check("catalog_reads", "trigger", "trigger IN ('asked', 'schedule')"),
        _check("catalog_reads", "finished", "(finished_at IS NOT NULL) = (state IN ('done', 'failed'))"),
        _check("catalog_reads", "error", "(state = 'failed') = (error_code IS NOT NULL)"),
        _check("catalog_reads", "final_unowned", "finished_at IS NULL OR worker_id IS NULL"),
        _to("catalog_reads", "catalog_id", "catalogs", ondelete="CASCADE"),
        _to("catalog_reads", "owner_id", "owners"),
        _to("catalog_reads", "api_key_id", "api_keys"),
        _to("catalog_reads", "batch_id", "batches", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_reads")),
    )
    open_ones = sa.text("finished_at IS NULL")
    op.create_index("uq_catalog_reads_open", "catalog_reads", ["catalog_id"], unique=True, postgresql_where=open_ones)
    op.create_index("ix_catalog_reads_due", "catalog_reads", ["ready_at"], postgresql_where=open_ones)
    op.create_index("ix_catalog_reads_list", "catalog_reads", ["catalog_id", sa.text("id DESC")])
    of_a_batch = sa.text("batch_id IS NOT NULL")
    op.create_index("ix_catalog_reads_batch", "catalog_reads", ["batch_id"], postgresql_where=of_a_batch)


def _products() -> None:
    op.create_table(
        "catalog_products",
        _text("catalog_id"),
        _text("ref"),
        _text("owner_id"),
        _text("external_ref"),
        _text("template_id"),
        _text("title"),
        _text("fingerprint"),
        _json("pictures"),
        _text("render_id"),
        _text("read_id"),
        _moment("gone_at"),
        _to("catalog_products", "catalog_id", "catalogs", ondelete="CASCADE"),
        _to("catalog_products", "owner_id", "owners"),
        sa.PrimaryKeyConstraint("catalog_id", "ref", name=op.f("pk_catalog_products")),
    )
    op.create_index("ix_catalog_products_ref", "catalog_products", ["owner_id", "external_ref"])


def _changes() -> None:
    op.create_table(
        "catalog_changes",
        _number(),
        _text("read_id"),
        _text("ref"),
        _text("title"),
        _text("kind"),
        _text("outcome", null=True),
        _text("fingerprint"),
        _json("pictures"),
        _text("render_id"),
        _check("catalog_changes", "kind", "kind IN ('new', 'changed', 'again', 'unchanged', 'gone')"),
        _check("catalog_changes", "outcome", "outcome IN ('rendered', 'reused', 'under_way', 'kept')"),
        _check("catalog_changes", "gone", "(kind = 'gone') = (outcome IS NULL)"),
        _to("catalog_changes", "read_id", "catalog_reads", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_changes")),
        sa.UniqueConstraint("read_id", "ref", name=op.f("uq_catalog_changes_read_id_ref")),
    )
    op.create_index("ix_catalog_changes_list", "catalog_changes", ["read_id", "id"])
    op.create_index("ix_catalog_changes_render", "catalog_changes", ["render_id"])
    op.create_table(
        "catalog_problems",
        _number(),
        _text("read_id"),
        sa.Column("place", sa.Integer(), nullable=False),
        _text("ref", null=True),
        _text("code"),
        _text("detail"),
        sa.Column("fatal", sa.Boolean(), nullable=False),
        _to("catalog_problems", "read_id", "catalog_reads", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_problems")),
    )
    op.create_index("ix_catalog_problems_list", "catalog_problems", ["read_id", "id"])
