"""What a picture starts from is found by the file's name: an upload stays while the picture it was brought for does."""

import sqlalchemy as sa

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NAMED = {
    "ix_images_start": ("start", "sha256"),
    "ix_images_mask": ("start", "mask_sha256"),
    "ix_images_enlarged": ("upscale", "sha256"),
}


def upgrade() -> None:
    is_sqlite = op.get_context().dialect.name == "sqlite"
    for index, (part, name) in _NAMED.items():
        found = f"json_extract(spec, '$.{part}.{name}')" if is_sqlite else f"(spec::json #>> '{{{part},{name}}}')"
        where = sa.text(f"{found} IS NOT NULL")
        op.create_index(index, "images", [sa.text(found)], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for index in _NAMED:
        op.drop_index(index, "images")
