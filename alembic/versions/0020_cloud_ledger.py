"""What pictures of a cloud worker cost, in money, append-only."""

import sqlalchemy as sa

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cloud_ledger",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("prediction_id", sa.String(32), nullable=False),
        sa.Column("image_id", sa.String(26), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("remote_id", sa.String(64), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cloud_ledger"),
    )
    for kind, column in (("reserve", "image_id"), ("asked", "prediction_id"), ("settle", "prediction_id")):
        where = sa.text(f"kind = '{kind}'")
        op.create_index(
            f"uq_cloud_ledger_{kind}",
            "cloud_ledger",
            [column],
            unique=True,
            sqlite_where=where,
            postgresql_where=where,
        )
    op.create_index("ix_cloud_ledger_prediction_id", "cloud_ledger", ["prediction_id"])
    op.create_index("ix_cloud_ledger_month", "cloud_ledger", ["month"])
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER cloud_ledger_refuses_{verb.lower()} BEFORE {verb} ON cloud_ledger "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
    else:  # by the function of the first ledger
        op.execute(
            "CREATE TRIGGER cloud_ledger_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON cloud_ledger "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()"
        )


def downgrade() -> None:
    op.drop_table("cloud_ledger")
