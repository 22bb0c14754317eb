"""Which version of the cost table a posting went by; none for those of before."""

import sqlalchemy as sa

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger", sa.Column("cost_version", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("ledger", "cost_version")
