"""A guild's newest jobs, and the reports of a job, are found by an index instead of among everyone's."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_jobs_guild_id_created_at", "jobs", ["guild_id", "created_at"])
    op.create_index("ix_reports_job_id_by", "reports", ["job_id", "by"])


def downgrade() -> None:
    op.drop_index("ix_reports_job_id_by", "reports")
    op.drop_index("ix_jobs_guild_id_created_at", "jobs")
