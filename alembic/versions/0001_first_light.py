"""First light: members, jobs, images, ledger and balances, quotas, deliveries, guild settings, queue counters."""

import sqlalchemy as sa

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(16)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # an INTEGER of SQLite has 64 bits
JOB_ID = sa.String(22)
IMAGE_ID = sa.String(26)


def upgrade() -> None:
    _create_jobs()
    _create_ledger()
    _create_guilds()
    if op.get_context().dialect.name == "sqlite":
        _forbid_changes_to_ledger()
    else:
        _forbid_changes_to_ledger_on_a_server()
        op.execute(_READ_JSON)


def downgrade() -> None:
    for table in (
        "deliveries",
        "images",
        "jobs",
        "members",
        "ledger",
        "balances",
        "quotas",
        "guild_settings",
        "queue_counters",
    ):
        op.drop_table(table)
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION ledger_refuses()")
        op.execute("DROP FUNCTION json_text(text, text[])")


def _create_jobs() -> None:
    op.create_table(
        "members",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_members"),
        sa.UniqueConstraint("user_id", name="uq_members_user_id"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", JOB_ID, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("member_key", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(["member_key"], ["members.key"], name="fk_jobs_member_key_members", ondelete="CASCADE"),
    )
    op.create_index("ix_jobs_member_key_guild_id_created_at", "jobs", ["member_key", "guild_id", "created_at"])
    op.create_table(
        "images",
        sa.Column("id", IMAGE_ID, nullable=False),
        sa.Column("job_id", JOB_ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("charged", sa.BigInteger(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=True),
        sa.Column("file_sha256", sa.String(64), nullable=True),
        sa.Column("error", sa.String(60), nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_images_job_id_jobs", ondelete="CASCADE"),
    )
    op.create_index("uq_images_job_id_position", "images", ["job_id", "position"], unique=True)
    op.create_index("ix_images_file_sha256", "images", ["file_sha256"])
    _create_index_where("ix_images_alive", "images", "job_id", "status IN ('waiting', 'running')")
    op.create_table(
        "deliveries",
        sa.Column("job_id", JOB_ID, nullable=False),
        sa.Column("application_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("token_expires_at", MOMENT, nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("locale", WORD, nullable=False),
        sa.Column("is_private", sa.Boolean(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_deliveries_job_id_jobs", ondelete="CASCADE"),
    )
    _create_index_where("ix_deliveries_due", "deliveries", "job_id", "state = 'due'")


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("member_key", sa.BigInteger(), nullable=False),
        sa.Column("window", MOMENT, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("image_id", IMAGE_ID, nullable=False),
        sa.Column("num_images", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
    )
    _create_index_where("uq_ledger_reserve", "ledger", "image_id", "kind = 'reserve'", unique=True)
    _create_index_where("uq_ledger_end", "ledger", "image_id", "kind IN ('settle', 'refund')", unique=True)
    op.create_table(
        "balances",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("window", MOMENT, nullable=False),
        sa.Column("num_images", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "member_key", "window", name="pk_balances"),
    )


def _create_guilds() -> None:
    op.create_table(
        "quotas",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("scope", WORD, nullable=False),
        sa.Column("subject", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("unit", WORD, nullable=False),
        sa.Column("allowance", sa.BigInteger(), nullable=False),
        sa.Column("window_hours", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("guild_id", "scope", "subject", "unit", name="pk_quotas"),
    )
    op.create_table(
        "guild_settings",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("safety", WORD, nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", name="pk_guild_settings"),
    )
    op.create_table(
        "queue_counters",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("counter", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", name="pk_queue_counters"),
    )


def _create_index_where(name: str, table: str, column: str, condition: str, *, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], unique=unique, sqlite_where=where, postgresql_where=where)


def _forbid_changes_to_ledger() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ledger_refuses_{verb.lower()} BEFORE {verb} ON ledger "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        )


def _forbid_changes_to_ledger_on_a_server() -> None:
    op.execute("""
        CREATE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER ledger_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()
    """)


# Damaged JSON is NULL, as with SQLite's json_valid; a plain cast would fail the whole query.
_READ_JSON = """
    CREATE FUNCTION json_text(value text, VARIADIC path text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        RETURN value::json #>> path;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        RETURN NULL;
    END $$
"""
