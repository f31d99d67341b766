"""A prompt with variables, and each of its versions."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base


class Template(Base):
    """A name that stays while what it stands for goes on in versions. An archived one is kept for its renders."""

    __tablename__ = "templates"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    archived_at: Mapped[datetime | None]

    __table_args__ = (
        # The name of an archived one is free again.
        Index("uq_templates_name", "owner_id", "name", unique=True, postgresql_where=text("archived_at IS NULL")),
        Index("ix_templates_list", "owner_id", text("created_at DESC"), text("id DESC")),
    )


class TemplateVersion(Base):
    """What a template was from one change to the next. The database refuses to change it: renders point to it."""

    __tablename__ = "template_versions"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    template_id: Mapped[str] = mapped_column(ForeignKey("templates.id", ondelete="CASCADE"))
    number: Mapped[int]
    prompt: Mapped[str]
    variables: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """By name, each as `worker.templates.variables.Variable` writes it."""
    language: Mapped[str | None]
    """Of the renders that name none."""
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Of the renders that name none."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("template_id", "number"),
        CheckConstraint("number > 0", name="number"),
    )
