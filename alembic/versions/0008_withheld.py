"""Add an index that finds recently withheld pictures without a scan of all pictures."""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("status = 'withheld'")
    op.create_index("ix_images_withheld", "images", ["ended_at"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_images_withheld", "images")
