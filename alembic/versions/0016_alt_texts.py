"""What members say of their pictures for those who cannot see them; none is the prompt."""

import sqlalchemy as sa

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("alt", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("images", "alt")
