"""Who may use a resource, and with which password."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credentials",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("workload", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("app", "resource", "user", name="pk_credentials"),
    )
