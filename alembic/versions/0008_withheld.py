"""Pictures kept back of late are found without looking at all pictures there ever were."""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_images_withheld", "images", ["ended_at"], sqlite_where=sa.text("status = 'withheld'"))


def downgrade() -> None:
    op.drop_index("ix_images_withheld", "images")
