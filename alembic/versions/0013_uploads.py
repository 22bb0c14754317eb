"""Who attached which file, and which pictures were made of such files.

Until now only the specs name what pictures start from. The first member who started from a file that is no picture of
ours attached it. A later one may be a reroll or a reproduction, and gives no right to the file.
"""

import sqlalchemy as sa

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_NAMED = (("start", "sha256"), ("start", "mask_sha256"), ("upscale", "sha256"))


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("member_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("sha256", "member_key", name="pk_uploads"),
        sa.ForeignKeyConstraint(
            ["member_key"], ["members.key"], ondelete="CASCADE", name="fk_uploads_member_key_members"
        ),
    )
    op.create_index("ix_uploads_member_key", "uploads", ["member_key"])
    op.add_column("jobs", sa.Column("is_from_upload", sa.Boolean(), server_default=sa.false(), nullable=False))
    is_sqlite = op.get_context().dialect.name == "sqlite"
    start, mask, enlarged = (_found(is_sqlite, *path) for path in _NAMED)
    num_cells = (
        "json_array_length(spec, '$.start.cells')" if is_sqlite else "json_array_length(spec::json #> '{start,cells}')"
    )
    # A mask of cells is drawn: no one attached it.
    op.execute(f"""
        CREATE TEMPORARY TABLE begun AS
        SELECT {start} AS sha256, job_id, 'start' AS part FROM images WHERE {start} IS NOT NULL
        UNION ALL SELECT {enlarged}, job_id, 'start' FROM images WHERE {enlarged} IS NOT NULL
        UNION ALL SELECT {mask}, job_id, 'mask' FROM images WHERE {mask} IS NOT NULL AND coalesce({num_cells}, 0) = 0
    """)
    op.execute("CREATE INDEX ix_begun ON begun (sha256)")
    # A start with a parent is that parent's picture, deleted since.
    op.execute("""
        INSERT INTO uploads (sha256, member_key)
        SELECT sha256, member_key FROM (
            SELECT b.sha256, j.member_key,
                   row_number() OVER (PARTITION BY b.sha256 ORDER BY j.created_at, j.id) AS place
            FROM begun AS b JOIN jobs AS j ON j.id = b.job_id
            WHERE (b.part = 'mask' OR j.parent IS NULL)
              AND NOT EXISTS (SELECT 1 FROM images AS p WHERE p.file_sha256 = b.sha256)
        ) AS numbered WHERE place = 1
    """)
    op.execute("""
        WITH RECURSIVE made (job_id) AS (
            SELECT b.job_id FROM uploads AS u JOIN begun AS b ON b.sha256 = u.sha256
            UNION
            SELECT b.job_id FROM made AS m
            JOIN images AS p ON p.job_id = m.job_id
            JOIN begun AS b ON b.sha256 = p.file_sha256
        )
        UPDATE jobs SET is_from_upload = true WHERE id IN (SELECT job_id FROM made)
    """)
    op.execute("DROP TABLE begun")


def _found(is_sqlite: bool, part: str, name: str) -> str:
    return f"json_extract(spec, '$.{part}.{name}')" if is_sqlite else f"(spec::json #>> '{{{part},{name}}}')"


def downgrade() -> None:
    op.drop_column("jobs", "is_from_upload")
    op.drop_index("ix_uploads_member_key", "uploads")
    op.drop_table("uploads")
