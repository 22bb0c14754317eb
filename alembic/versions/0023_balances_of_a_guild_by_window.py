"""The balances of a guild by their windows: for its use by member, whatever was used before."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_balances_guild_id_window", "balances", ["guild_id", "window"])


def downgrade() -> None:
    op.drop_index("ix_balances_guild_id_window", "balances")
