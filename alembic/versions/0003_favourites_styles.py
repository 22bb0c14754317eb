"""Favourites, whom to tell, styles; and the parent of a job where an index can find it."""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "favourites",
        sa.Column("member_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("job_id", sa.String(22), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("member_key", "job_id", name="pk_favourites"),
        sa.ForeignKeyConstraint(
            ["member_key"], ["members.key"], ondelete="CASCADE", name="fk_favourites_member_key_members"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="fk_favourites_job_id_jobs"),
    )
    op.create_index("ix_favourites_job_id", "favourites", ["job_id"])
    op.create_table(
        "tellings",
        sa.Column("job_id", sa.String(22), nullable=False),
        sa.Column("member_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "member_key", name="pk_tellings"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="fk_tellings_job_id_jobs"),
        sa.ForeignKeyConstraint(
            ["member_key"], ["members.key"], ondelete="CASCADE", name="fk_tellings_member_key_members"
        ),
    )
    op.create_index("ix_tellings_member_key", "tellings", ["member_key"])
    op.create_table(
        "styles",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("negative", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "name", name="pk_styles"),
    )
    op.add_column("jobs", sa.Column("parent", sa.String(26), nullable=True))
    is_sqlite = op.get_context().dialect.name == "sqlite"
    parent = "json_extract(request, '$.parent')" if is_sqlite else "request::json ->> 'parent'"
    op.execute(f"UPDATE jobs SET parent = {parent}")
    op.create_index("ix_jobs_parent", "jobs", ["parent"])


def downgrade() -> None:
    op.drop_index("ix_jobs_parent", "jobs")
    op.drop_column("jobs", "parent")
    op.drop_table("styles")
    op.drop_index("ix_tellings_member_key", "tellings")
    op.drop_table("tellings")
    op.drop_index("ix_favourites_job_id", "favourites")
    op.drop_table("favourites")
