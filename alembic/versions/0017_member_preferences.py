"""Keep what members have chosen for themselves."""

import sqlalchemy as sa

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "member_preferences",
        sa.Column("member_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("choices", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("member_key", name="pk_member_preferences"),
        sa.ForeignKeyConstraint(
            ["member_key"], ["members.key"], ondelete="CASCADE", name="fk_member_preferences_member_key_members"
        ),
    )


def downgrade() -> None:
    op.drop_table("member_preferences")
