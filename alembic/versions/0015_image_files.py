"""Keep every file that an image refers to in one table, where an index finds it; until now specs and requests name it.

Every statement runs in the database: no row is loaded here.
"""

import sqlalchemy as sa

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_OF_SPEC = {"start": ("start", "sha256"), "mask": ("start", "mask_sha256"), "upscale": ("upscale", "sha256")}
_INDEXES = {"ix_images_start": "start", "ix_images_mask": "mask", "ix_images_enlarged": "upscale"}


def upgrade() -> None:
    op.create_table(
        "image_files",
        sa.Column("image_id", sa.String(26), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "role", name="pk_image_files"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE", name="fk_image_files_image_id_images"),
    )
    _fill("result", "file_sha256", "images")
    for role, path in _OF_SPEC.items():
        _fill(role, _read("spec", *path), "images")
    _fill("original", _read("request", "replay", "original"), "images JOIN jobs ON jobs.id = images.job_id")
    op.create_index("ix_image_files_sha256_role", "image_files", ["sha256", "role"])
    for index in (*_INDEXES, "ix_images_file_sha256"):
        op.drop_index(index, "images")
    op.drop_column("images", "file_sha256")
    op.create_index("ix_reviews_sha256", "reviews", ["sha256"])


def _fill(role: str, sha256: str, rows: str) -> None:
    op.execute(f"""
        INSERT INTO image_files (image_id, role, sha256)
        SELECT image_id, '{role}', sha256 FROM (SELECT images.id AS image_id, {sha256} AS sha256 FROM {rows}) AS found
        WHERE sha256 <> ''
    """)


def _read(column: str, *path: str) -> str:
    """Return the expression for the text at `path`; a damaged value of SQLite has none."""
    if op.get_context().dialect.name == "sqlite":
        return f"CASE WHEN json_valid({column}) THEN json_extract({column}, '$.{'.'.join(path)}') END"
    return f"({column}::json #>> '{{{','.join(path)}}}')"


def downgrade() -> None:
    is_sqlite = op.get_context().dialect.name == "sqlite"
    op.drop_index("ix_reviews_sha256", "reviews")
    op.add_column("images", sa.Column("file_sha256", sa.String(64), nullable=True))
    op.execute("""
        UPDATE images SET file_sha256 = (
            SELECT sha256 FROM image_files WHERE image_files.image_id = images.id AND image_files.role = 'result'
        )
    """)
    op.create_index("ix_images_file_sha256", "images", ["file_sha256"])
    for index, role in _INDEXES.items():
        part, name = _OF_SPEC[role]
        found = f"json_extract(spec, '$.{part}.{name}')" if is_sqlite else f"(spec::json #>> '{{{part},{name}}}')"
        where = sa.text(f"{found} IS NOT NULL")
        op.create_index(index, "images", [sa.text(found)], sqlite_where=where, postgresql_where=where)
    op.drop_index("ix_image_files_sha256_role", "image_files")
    op.drop_table("image_files")
