"""Every deploy, and what a release was made of: the verb, when it began, the commit."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite makes the table anew: one that was added to is written otherwise than one that was created so
    recreate: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("releases", recreate=recreate) as releases:
        releases.add_column(sa.Column("verb", sa.Text, nullable=False, server_default=""))
        releases.add_column(sa.Column("began_at", sa.Double))
        releases.add_column(sa.Column("revision", sa.Text, nullable=False, server_default=""))
        releases.add_column(sa.Column("committed_at", sa.Double))
    op.create_table(
        "deploys",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("verb", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("release", sa.Integer),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("committed_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_deploys"),
        sqlite_autoincrement=True,
    )
    op.create_index("deploys_by_time", "deploys", ["finished_at"])
