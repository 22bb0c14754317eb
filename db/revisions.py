"""The migrations of this code: where they lie, which there are, and which is the newest.

They are read as text: `--version` and the checks need neither alembic nor SQLAlchemy for that.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from generation.errors import ConfigurationError

_HERE = Path(__file__).resolve().parent
_PLACES = (_HERE / "migrations", _HERE.parent / "alembic")
"""In a wheel, and in the source tree. The order matters: beside an installed `db` lies the folder of the library."""


def find_migrations() -> Path:
    """Return the folder of `env.py` and `versions`. Raise `ConfigurationError` if there is none."""
    for folder in _PLACES:
        if (folder / "env.py").is_file() and (folder / "versions").is_dir():
            return folder
    raise _incomplete("Its database migrations are missing.")


@lru_cache
def read_revisions() -> dict[str, str | None]:
    """Return each revision and the one before it."""
    found = [_read_constants(path) for path in sorted(find_migrations().glob("versions/*.py"))]
    return {str(each["revision"]): each["down_revision"] for each in found if "revision" in each}


def newest_revision() -> str:
    """Return the schema of this code. Raise `ConfigurationError` unless exactly one revision is the last."""
    revisions = read_revisions()
    heads = sorted(revisions.keys() - set(revisions.values()))
    if len(heads) != 1:
        raise _incomplete(f"Its database migrations have {len(heads)} newest revisions, and must have one.")
    return heads[0]


def list_newer(current: str | None) -> list[str]:
    """Return the revisions that a database with this schema lacks, newest first; all of them for an empty one."""
    found, before = list[str](), read_revisions()
    revision: str | None = newest_revision()
    while revision is not None and revision != current:
        found.append(revision)
        revision = before[revision]
    return found


def _read_constants(path: Path) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(str() | None as value)):
                found[name] = value
    return found


def _incomplete(problem: str) -> ConfigurationError:
    return ConfigurationError(
        problem=f"This installation of Atelier is incomplete. {problem}", remedy="Install it again."
    )
