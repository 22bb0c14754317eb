"""The balances of all guilds by their windows: for the operator's use by day."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_balances_window", "balances", ["window"])


def downgrade() -> None:
    op.drop_index("ix_balances_window", "balances")
