"""What those who run a server decide: content rules, the choices of the settings panel, and who changed what."""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("guild_settings", sa.Column("choices", sa.Text(), nullable=False, server_default="{}"))
    op.create_table(
        "content_rules",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_content_rules"),
    )
    op.create_index("ix_content_rules_guild_id", "content_rules", ["guild_id"])
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
        sa.ForeignKeyConstraint(["by"], ["members.key"], ondelete="SET NULL", name="fk_changes_by_members"),
    )
    op.create_index("ix_changes_guild_id_at", "changes", ["guild_id", "at"])


def downgrade() -> None:
    op.drop_table("changes")
    op.drop_table("content_rules")
    op.drop_column("guild_settings", "choices")
