"""On which databases a test runs: SQLite alone unless it says otherwise."""

import pytest

SQLITE, SERVER = "sqlite", "postgresql"
on_both = pytest.mark.databases(SQLITE, SERVER)
on_both_long = pytest.mark.databases(SQLITE, pytest.param(SERVER, marks=pytest.mark.long))
"""`make test` leaves out the run on a server: it takes four times as long as that on a file."""
on_sqlite = pytest.mark.databases(SQLITE)
on_postgres = pytest.mark.databases(SERVER)
