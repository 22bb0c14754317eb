"""Flagged pictures: how a job is handled, what the checker said of an image, what moderators may see."""

import sqlalchemy as sa

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("handling", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("images", sa.Column("judgement", sa.Text(), nullable=True))
    op.create_table(
        "reviews",
        sa.Column("image_id", sa.String(26), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_reviews"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE", name="fk_reviews_image_id_images"),
    )
    op.create_index("ix_reviews_until", "reviews", ["until"])


def downgrade() -> None:
    op.drop_table("reviews")
    op.drop_column("images", "judgement")
    op.drop_column("jobs", "handling")
