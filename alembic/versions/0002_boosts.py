"""Boosts: what members of a role may claim inside their guild, and what a job's owner could claim when it was asked."""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "role_boosts",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("role_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("boost", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "role_id", name="pk_role_boosts"),
    )
    op.add_column("jobs", sa.Column("boost", sa.Float(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("jobs", "boost")
    op.drop_table("role_boosts")
