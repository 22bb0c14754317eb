"""The schema on a server equals that of the models, there and back again, and takes what SQLite takes but a NUL."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, insert
from sqlalchemy.pool import NullPool

from alembic import command
from db.address import parse_url
from db.engine import Database
from db.migrate import alembic_config
from db.models import Base, StyleRow
from db.stores.deliveries import DeliveryStore
from db.stores.jobs import JobStore
from generation.errors import InvalidRequestError
from generation.validation import stored
from tests import postgres
from tests.db.kinds import on_both
from tests.db.some_jobs import GUILD, a_job, a_reply, a_spec


def test_down_and_up_again_ends_where_it_began(server: postgres.Server, template: str) -> None:
    url = server.create(template)

    def run_alembic(action: str, revision: str) -> None:
        engine = create_engine(parse_url(url))
        config = alembic_config()
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            getattr(command, action)(config, revision)
        engine.dispose()

    def schema() -> list[tuple[str, ...]]:
        columns = "table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        asked = (
            f"SELECT {columns} WHERE table_schema = 'public' ORDER BY 1, 2",
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
            "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        )
        return [tuple(map(str, row)) for each in asked for row in postgres.say(url, each)]

    before = schema()
    run_alembic("downgrade", "base")
    assert {row[0] for row in schema()} == {"alembic_version", "alembic_version_pkc"}
    run_alembic("upgrade", "head")
    assert schema() == before
    server.drop(url)


def test_the_models_equal_the_migrated_schema(server: postgres.Server, template: str) -> None:
    engine = create_engine(parse_url(server.url_of(template)), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert [each for each in compare_metadata(context, Base.metadata) if "json_text" not in str(each)] == []
    engine.dispose()


@on_both
async def test_no_database_is_given_a_nul(database: Database) -> None:
    for name, prompt in (("ink", "in\0k"), ("in\0k", "ink")):
        style = insert(StyleRow).values(guild_id=GUILD, name=name, prompt=prompt, negative="")
        with pytest.raises(InvalidRequestError, match="NUL"):
            await database.write(lambda session, style=style: session.execute(style))
    with stored(), pytest.raises(InvalidRequestError, match="NUL"):
        await JobStore(database).accept(a_job(spec=a_spec(prompt="\\\0")), a_reply())
    job = a_job(spec=a_spec(prompt=r"\u0000"))
    await JobStore(database).accept(job, a_reply())
    assert (await JobStore(database).fetch_job(job.id)).request.spec.prompt == r"\u0000"
    assert await DeliveryStore(database).mark_tried(job.id, "odd\0 error")
