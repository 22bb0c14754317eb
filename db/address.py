"""The address of a database: a SQLite file by its one name, or a database of a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from generation.errors import ConfigurationError

SERVER = "postgresql"
_REMEDY = "Set ATELIER_DATABASE_URL to something like sqlite:///data/atelier.db or postgresql://atelier@host/atelier."
_CHOSEN = {"options", "application_name", "client_encoding", "prepare_threshold", "autocommit"}
"""Of a server's address: what Atelier says of its own sessions."""


def parse_url(url: str) -> URL:
    """Return the address of a SQLite file (absolute, links followed) or of a server. Raise `ConfigurationError`."""
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise ConfigurationError(problem="The database address cannot be read.", remedy=_REMEDY) from None
    if kind in (SERVER, "postgres"):
        return _of_server(parsed)
    if kind != "sqlite":
        problem = f"Atelier keeps its data in SQLite or PostgreSQL, not in {kind}."
        raise ConfigurationError(problem=problem, remedy=_REMEDY)
    if options := set(parsed.query) - {"uri"}:
        raise _chosen_by_us(min(options))
    file = _find_file(parsed.database or "")
    if file is None:
        raise ConfigurationError(problem="The database address names no file.", remedy=_REMEDY)
    return URL.create("sqlite", database=str(file))


def is_server(url: URL) -> bool:
    return url.get_backend_name() == SERVER


def file_of(url: URL) -> Path | None:
    """Return the file of a SQLite database, None of a database on a server."""
    return None if is_server(url) else Path(str(url.database))


def describe(url: URL) -> str:
    """Return what to call a database in a sentence; never its password."""
    if not is_server(url):
        return f"the database {url.database}"
    hosts = url.query.get("host", url.host or "this machine")
    return f"the database {url.database} on {hosts if isinstance(hosts, str) else ', '.join(hosts)}"


def _of_server(url: URL) -> URL:
    if not url.database:
        raise ConfigurationError(problem="The database address names no database.", remedy=_REMEDY)
    if options := _CHOSEN & set(url.query):
        raise _chosen_by_us(min(options))
    return url.set(drivername=f"{SERVER}+psycopg")


def _chosen_by_us(option: str) -> ConfigurationError:
    problem = f"The database address has an option that Atelier chooses itself: {option}."
    return ConfigurationError(problem=problem, remedy="Leave it out of ATELIER_DATABASE_URL.")


def _find_file(database: str) -> Path | None:
    """Return the file that SQLite means by a path, or by a `file:` address; None if it means none."""
    if database.startswith("file:"):
        parts = urlsplit(database)
        database = unquote(parts.path) if parts.netloc in ("", "localhost") and not parts.query else ""
    if database in ("", ":memory:"):
        return None
    try:
        return Path(database).resolve()
    except (OSError, ValueError, RuntimeError):  # links in a circle, a NUL
        return None
