"""What is a member's or a job's is found by an index when they are erased, and what is old when it is swept."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_FOUND = {
    "ix_reports_by": ("reports", ["by"]),
    "ix_refusals_member_key": ("refusals", ["member_key"]),
    "ix_refusals_at": ("refusals", ["at"]),
    "ix_changes_by": ("changes", ["by"]),
    "ix_quotas_subject": ("quotas", ["subject"]),
    "ix_balances_member_key_window": ("balances", ["member_key", "window"]),
}


def upgrade() -> None:
    for index, (table, columns) in _FOUND.items():
        op.create_index(index, table, columns)


def downgrade() -> None:
    for index, (table, _) in _FOUND.items():
        op.drop_index(index, table)
