"""How Alembic reaches the database: over the connection `db.migrate` gives it, or by URL from the command line.

alembic revision --autogenerate -m "what changes"     against alembic.ini's development database
alembic -x url=sqlite:///some.db upgrade head
alembic -x url=postgresql:// upgrade head --sql       prints the statements, connects to nothing
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.types import TypeDecorator

from alembic import context
from db.models import Base


def _url() -> str:
    chosen = context.get_x_argument(as_dictionary=True).get("url")
    return chosen or context.config.get_main_option("sqlalchemy.url") or "sqlite:///data/atelier.db"


def _render(kind: str, value: Any, _context: Any) -> str | bool:
    """Our own types as the plain ones they are stored as: a migration must not change when the code does."""
    if kind == "type" and isinstance(value, TypeDecorator):
        return f"sa.{value.impl_instance!r}"
    return False


def _run(**target: Any) -> None:
    # SQLite cannot alter most of a table in place: batch mode rebuilds it. Either database can undo half a migration.
    context.configure(
        **target,
        target_metadata=Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
        compare_type=True,
        render_item=_render,
        on_version_apply=context.config.attributes.get("on_version_apply"),
    )
    with context.begin_transaction():
        context.run_migrations()


def _run_by_url() -> None:
    url = make_url(_url())
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(
        url.set(drivername="sqlite") if is_sqlite else url,
        connect_args={"isolation_level": None} if is_sqlite else {},
        hide_parameters=True,
    )
    if is_sqlite:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        _run(connection=connection)
    engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    _run(connection=given)
elif context.is_offline_mode():
    _run(dialect_name=make_url(_url()).get_backend_name(), literal_binds=True)
else:
    _run_by_url()
